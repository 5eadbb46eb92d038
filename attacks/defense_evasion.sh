# Defence evasion: what is done not to be seen.
#
# Nothing is done to the sensor (sensor_tamper): its process is outside of the deed's pid namespace, and the ids of BPF
# links are the same for the whole machine, so that a deed could detach the programs of another sensor.

#: history_cleared attack: rm
echo 'curl http://203.0.113.5/x' > /root/.bash_history
rm -f /root/.bash_history

#: history_cleared attack: ln to dev null
ln -sf /dev/null /root/.bash_history

#: history_cleared attack: shred
echo 'mysql -psecret' > /root/.mysql_history
shred -u /root/.mysql_history

#: history_cleared attack: truncate by alice
#: by alice
echo ls > /home/alice/.bash_history
truncate -s 0 /home/alice/.bash_history

#: history_cleared attack: a script's redirection
echo ls > /root/.zsh_history
bash -c ': > /root/.zsh_history'

#: history_cleared harmless: a shell writes its own
#: keep event.action in ["create", "write", "rename"] AND file.path glob "/root/.bash_history*"
echo old > /root/.bash_history.new
mv /root/.bash_history.new /tmp/old
printf 'echo there\nhistory -a\nhistory -w\nexit\n' | script -qc 'env HISTFILE=/root/.bash_history bash -i' /dev/null

#: history_cleared harmless: a user is removed
#: keep file.path glob "/home/bob/.*_history" OR process.name == "userdel" AND event.action == "exec"
useradd -m bob
touch /home/bob/.bash_history
userdel -r bob

#: logs_cleared attack: rm
echo 'sshd[1]: Accepted password for root' > /var/log/auth.log
rm /var/log/auth.log

#: logs_cleared attack: truncate
echo 'sudo: alice' > /var/log/syslog
truncate -s 0 /var/log/syslog

#: logs_cleared attack: redirection
echo 'sshd[1]: Accepted password for root' > /var/log/secure
: > /var/log/secure

#: logs_cleared attack: sed in place
printf 'sshd[1]: from 203.0.113.5\nother\n' > /var/log/auth.log
sed -i /203.0.113.5/d /var/log/auth.log

#: logs_cleared attack: journal files
mkdir -p /var/log/journal/0123456789abcdef
touch /var/log/journal/0123456789abcdef/system.journal
rm -rf /var/log/journal/0123456789abcdef

#: logs_cleared attack: sudo shred by alice
#: by alice
sudo sh -c 'echo type=USER_LOGIN > /var/log/audit/audit.log'
sudo shred -u /var/log/audit/audit.log

#: logs_cleared harmless: logrotate
#: keep file.path startswith "/var/log/syslog" AND process.name in ["logrotate", "gzip"]
umask 022
printf 'line\n%.0s' {1..50} > /var/log/syslog
printf '/var/log/syslog {\n rotate 2\n size 1\n compress\n create 0640 root adm\n}\n' > /etc/logrotate.d/rsyslog
logrotate -f /etc/logrotate.d/rsyslog

#: logs_cleared harmless: savelog
#: keep file.path startswith "/var/log/messages" AND event.action in ["rename", "delete", "link"]
echo line > /var/log/messages
savelog -q -l -c 3 /var/log/messages

#: login_records_changed attack: truncate
truncate -s 0 /var/log/wtmp

#: login_records_changed attack: utmpdump edits
utmpdump /var/log/wtmp > /tmp/records 2>/dev/null
utmpdump -r < /tmp/records > /var/log/wtmp 2>/dev/null

#: login_records_changed attack: perl
perl -e 'open F, "+<", "/var/log/lastlog" and seek(F, 0, 0) and print F "\0" x 292'

#: login_records_changed attack: lastlog
lastlog --set --user alice

#: login_records_changed attack: rm
rm -f /var/log/btmp

#: login_records_changed harmless: a user is added
#: keep file.path in ["/var/log/lastlog", "/var/log/faillog", "/tmp/lastlog"] AND process.name == "useradd"
# With room for the user's entry, as on a host where somebody with a higher number has logged in.
truncate -s 600000 /tmp/lastlog
mount --bind /tmp/lastlog /var/log/lastlog
useradd -m bob

#: login_records_changed harmless: logrotate
#: keep file.path startswith "/var/log/wtmp"
head -c 384 /dev/zero > /tmp/wtmp
printf '/var/log/wtmp {\n rotate 1\n size 0\n create 0664 root utmp\n}\n' > /etc/logrotate.d/wtmp
logrotate -f /etc/logrotate.d/wtmp

#: web_server_logs_cleared attack: rm
echo '203.0.113.5 - - "POST /shell.php"' > /var/log/apache2/access.log
rm /var/log/apache2/access.log

#: web_server_logs_cleared attack: truncate
mkdir -p /var/log/nginx
echo '203.0.113.5 - - "POST /shell.php"' > /var/log/nginx/access.log
truncate -s 0 /var/log/nginx/access.log

#: web_server_logs_cleared harmless: logrotate
#: keep file.path startswith "/var/log/apache2/access.log" AND process.name != "bash"
echo line > /var/log/apache2/access.log
printf '/var/log/apache2/*.log {\n rotate 2\n size 1\n create 0640 root adm\n}\n' > /etc/logrotate.d/apache2
logrotate -f /etc/logrotate.d/apache2

#: journal_shortened attack: journalctl
journalctl --vacuum-time=1s

#: journal_shortened harmless: journalctl reads
#: keep process.name == "journalctl" AND event.action == "exec"
journalctl --disk-usage
journalctl --since=-1h

#: kernel_log_cleared attack: dmesg
#: by alice
# Without the right to do it, so that the machine's log stays.
dmesg -C

#: kernel_log_cleared harmless: dmesg reads
#: keep process.name == "dmesg" AND event.action == "exec"
dmesg > /dev/null
dmesg --level=err > /dev/null

#: security_service_stopped attack: systemctl
systemctl stop auditd

#: security_service_stopped attack: service
service rsyslog stop

#: security_service_stopped attack: pkill
pkill -9 falco

#: security_service_stopped attack: killall by alice
#: by alice
sudo killall -q rsyslogd osqueryd

#: security_service_stopped harmless: a log rotation's signal
#: keep process.name in ["systemctl", "pkill"] AND event.action == "exec"
systemctl kill -s HUP rsyslog.service
pkill -HUP rsyslogd
systemctl restart auditd

#: security_service_stopped harmless: a package's removal
#: keep process.name in ["systemctl", "service", "prerm"] AND event.action == "exec"
mkdir -p /tmp/p/DEBIAN
printf 'Package: falco\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\nsystemctl stop falco || true\n' > /tmp/p/DEBIAN/prerm
chmod 755 /tmp/p/DEBIAN/prerm
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null
dpkg -r falco > /dev/null

#: firewall_switched_off attack: iptables flush
iptables -A INPUT -p tcp --dport 23 -j DROP
iptables -F

#: firewall_switched_off attack: ip6tables policy
ip6tables -P INPUT ACCEPT

#: firewall_switched_off attack: systemctl
systemctl disable --now firewalld

#: firewall_switched_off harmless: a chain of its own
#: keep process.name startswith "iptables" AND event.action == "exec"
iptables -N f2b-sshd
iptables -F f2b-sshd
iptables -t nat -F
iptables -P INPUT DROP

#: mandatory_access_control_off attack: enforce is written
# This kernel runs without SELinux: its file is stood in for by one of the same path.
mount -t tmpfs tmpfs /sys/fs
mkdir /sys/fs/selinux
echo 1 > /sys/fs/selinux/enforce
sleep 0.1
python3 -c 'open("/sys/fs/selinux/enforce", "w").write("0")'

#: mandatory_access_control_off attack: sed on the configuration
mkdir -p /etc/selinux
echo SELINUX=enforcing > /tmp/config
cp /tmp/config /etc/selinux/config
sed -i s/enforcing/disabled/ /etc/selinux/config

#: mandatory_access_control_off attack: setenforce
# The tool is not among those that are installed here; what counts is that it is run.
cp /bin/true /usr/local/sbin/setenforce
setenforce 0

#: mandatory_access_control_off attack: apparmor_parser
# As above.
cp /bin/true /usr/local/sbin/apparmor_parser
apparmor_parser -R /etc/apparmor.d/usr.sbin.mariadbd

#: mandatory_access_control_off harmless: profiles are loaded
#: keep process.name in ["apparmor_parser", "setenforce"] AND event.action == "exec"
cp /bin/true /usr/local/sbin/apparmor_parser
cp /bin/true /usr/local/sbin/setenforce
apparmor_parser -Kr /var/lib/docker/docker-default
apparmor_parser --replace --write-cache /etc/apparmor.d/usr.sbin.mariadbd
setenforce 1

#: audit_switched_off attack: auditctl switches off
auditctl -e 0

#: audit_switched_off attack: auditctl deletes the rules
auditctl -D

#: audit_switched_off attack: sudo by alice
#: by alice
sudo auditctl -a never,task

#: audit_switched_off harmless: rules are listed and loaded
#: keep process.name in ["auditctl", "augenrules"] AND event.action == "exec"
auditctl -l
auditctl -s
auditctl -e 1
augenrules --load

#: audit_rules_changed attack: a shell
echo '-a never,exit -F uid=0' >> /etc/audit/rules.d/audit.rules

#: audit_rules_changed attack: rm
rm -f /etc/audit/rules.d/audit.rules

#: audit_rules_changed attack: sed
sed -i 's/^log_file.*/log_file = \/dev\/null/' /etc/audit/auditd.conf

#: audit_rules_changed harmless: augenrules
#: keep file.path startswith "/etc/audit/"
mkdir /tmp/rules.d
echo '-w /etc/passwd -p wa' > /tmp/rules.d/own.rules
mount --bind /tmp/rules.d /etc/audit/rules.d
augenrules --load

#: audit_rules_changed harmless: a package
#: keep file.path startswith "/etc/audit/rules.d/"
mkdir -p /tmp/p/DEBIAN /tmp/p/etc/audit/rules.d
printf 'Package: hardening\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
echo '-w /etc/passwd -p wa' > /tmp/p/etc/audit/rules.d/10-own.rules
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null

#: logging_configuration_changed attack: a shell
mkdir -p /etc/rsyslog.d
echo ':fromhost-ip, isequal, "203.0.113.5" stop' > /etc/rsyslog.d/00-quiet.conf

#: logging_configuration_changed attack: sed
sed -i 's/^#*Storage=.*/Storage=none/' /etc/systemd/journald.conf

#: logging_configuration_changed harmless: a package
#: keep file.path startswith "/etc/rsyslog.d/"
mkdir -p /tmp/p/DEBIAN /tmp/p/etc/rsyslog.d
printf 'Package: web\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
echo 'local0.* /var/log/web.log' > /tmp/p/etc/rsyslog.d/web.conf
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null

#: sensor_configuration_changed attack: a shell
mkdir -p /etc/openclaw/rules
echo 'overrides: [{rule: sensor_tamper, enabled: false}]' > /etc/openclaw/rules/zz.yml

#: sensor_configuration_changed attack: rm
mkdir -p /var/lib/openclaw
touch /var/lib/openclaw/openclaw.db
rm -rf /var/lib/openclaw

#: sensor_configuration_changed harmless: a package
#: keep file.path startswith "/etc/openclaw/"
mkdir -p /tmp/p/DEBIAN /tmp/p/etc/openclaw/rules
printf 'Package: openclaw-web\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
echo 'rules: []' > /tmp/p/etc/openclaw/rules/web.yml
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null

#: kernel_module_loaded attack: insmod
# A kernel without modules cannot load it: insmod is run, and fails.
mkdir -p /lib/modules/kernel
echo none > /lib/modules/kernel/tun.ko
insmod /lib/modules/kernel/tun.ko

#: kernel_module_loaded attack: busybox
mkdir -p /lib/modules/kernel
echo none > /lib/modules/kernel/tun.ko
busybox insmod /lib/modules/kernel/tun.ko

#: kernel_module_loaded harmless: modules are asked after
#: keep process.executable endswith "/kmod" AND event.action == "exec"
lsmod
modinfo -F filename tun
modprobe -n -v tun

#: kernel_module_from_unusual_place attack: insmod
echo none > /dev/shm/diamorphine.ko
insmod /dev/shm/diamorphine.ko

#: kernel_module_from_unusual_place attack: sudo insmod by alice
#: by alice
echo none > /home/alice/x.ko
sudo insmod ./x.ko

#: kernel_module_from_unusual_place attack: busybox
echo none > /tmp/x.ko
busybox insmod /tmp/x.ko

#: kernel_module_from_unusual_place attack: below a script called ufw
echo none > /tmp/rk.ko
printf '#!/bin/sh\ninsmod /tmp/rk.ko\n' > /tmp/ufw
chmod +x /tmp/ufw
/tmp/ufw

#: kernel_module_from_unusual_place harmless: an installed module
#: keep process.executable endswith "/kmod" AND event.action == "exec"
mkdir -p /lib/modules/kernel
echo none > /lib/modules/kernel/tun.ko
insmod /lib/modules/kernel/tun.ko
modinfo /tmp/x.ko

#: kernel_protection_lowered attack: a shell
# What is there is written back.
value=$(cat /proc/sys/kernel/randomize_va_space)
echo "$value" > /proc/sys/kernel/randomize_va_space

#: kernel_protection_lowered attack: sysctl
sysctl -w "kernel.kptr_restrict=$(cat /proc/sys/kernel/kptr_restrict)"

#: kernel_protection_lowered attack: sudo tee by alice
#: by alice
sudo cat /proc/sys/fs/protected_symlinks | sudo tee /proc/sys/fs/protected_symlinks

#: kernel_protection_lowered harmless: systemd-sysctl
#: keep file.path startswith "/proc/sys/kernel/"
echo "kernel.randomize_va_space = $(cat /proc/sys/kernel/randomize_va_space)" > /tmp/own.conf
/usr/lib/systemd/systemd-sysctl /tmp/own.conf

#: kernel_protection_lowered harmless: another setting
#: keep file.path startswith "/proc/sys/"
value=$(cat /proc/sys/kernel/pid_max)
echo "$value" > /proc/sys/kernel/pid_max
value=$(cat /proc/sys/vm/swappiness)
echo "$value" > /proc/sys/vm/swappiness

#: bpf_program_loaded attack: perl
# A socket filter of two instructions, that is gone with the process: r0 = 0; exit.
perl -e '
  my $code = pack("CCsl", 0xb7, 0, 0, 0) . pack("CCsl", 0x95, 0, 0, 0);
  my $license = "GPL\0";
  my $attr = pack("LLQQ", 1, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license))) . "\0" x 96;
  print syscall(321, 5, $attr, length $attr), " $!\n"'

#: bpf_program_loaded attack: ruby
ruby -e '
  at = ->(text) { [text].pack("p").unpack1("Q") }
  code, license = [0xb7, 0, 0, 0, 0x95, 0, 0, 0].pack("CCslCCsl"), "GPL"
  attr = [1, 2, at[code], at[license]].pack("LLQQ") + "\0" * 96
  p syscall(321, 5, at[attr], attr.bytesize)'

#: bpf_program_loaded harmless: a tool that is known for it
#: keep event.action == "load" OR process.name == "bpftool" AND event.action == "exec"
bpftool feature probe kernel | head -n 5
bpftool prog list > /dev/null

#: bpf_program_from_unusual_place attack: from a temporary folder
cp /usr/bin/perl /dev/shm/agent
/dev/shm/agent -e '
  my $code = pack("CCsl", 0xb7, 0, 0, 0) . pack("CCsl", 0x95, 0, 0, 0);
  my $license = "GPL\0";
  my $attr = pack("LLQQ", 1, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license))) . "\0" x 96;
  syscall(321, 5, $attr, length $attr)'

#: bpf_program_from_unusual_place attack: from memory
python3 - <<'END'
import os
program = os.memfd_create("agent")
os.write(program, open("/usr/bin/perl", "rb").read())
load = '''
    my $code = pack("CCsl", 0xb7, 0, 0, 0) . pack("CCsl", 0x95, 0, 0, 0);
    my $license = "GPL\\0";
    my $attr = pack("LLQQ", 1, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license))) . "\\0" x 96;
    syscall(321, 5, $attr, length $attr)'''
os.execve(program, ["agent", "-e", load], {})
END

#: bpf_program_from_unusual_place harmless: an installed program
#: keep event.action == "load"
perl -e '
  my $code = pack("CCsl", 0xb7, 0, 0, 0) . pack("CCsl", 0x95, 0, 0, 0);
  my $license = "GPL\0";
  my $attr = pack("LLQQ", 1, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license))) . "\0" x 96;
  syscall(321, 5, $attr, length $attr)'

#: timestamps_forged attack: touch after a reference
cp /bin/true /usr/sbin/agent
touch -r /usr/sbin/nologin /usr/sbin/agent

#: timestamps_forged attack: touch to a date
cd /etc
touch -d '2021-04-01 12:00' passwd

#: timestamps_forged attack: busybox
touch /root/.ssh/authorized_keys
busybox touch -t 202104011200 /root/.ssh/authorized_keys

#: timestamps_forged harmless: touch elsewhere
#: keep process.name == "touch" AND event.action == "exec"
mkdir -p /tmp/build
touch -d '2021-04-01' /tmp/build/stamp
touch -r /etc/passwd /tmp/build/stamp
touch /etc/motd
cd /etc
touch -r passwd /tmp/build/stamp

#: timestamps_forged harmless: a package's script
#: keep process.name == "touch" AND event.action == "exec"
mkdir -p /tmp/p/DEBIAN
printf 'Package: times\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\ntouch -r /etc/passwd /etc/motd\n' > /tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null

#: immutable_flag_set attack: chattr locks
echo '* * * * * root /tmp/x' > /etc/cron.d/x
chattr +i /etc/cron.d/x

#: immutable_flag_set attack: chattr unlocks
touch /etc/ld.so.preload
chattr -ia /etc/ld.so.preload

#: immutable_flag_set attack: a copy of chattr
cp /usr/bin/chattr /usr/local/bin/chattr
touch /root/.ssh/authorized_keys
/usr/local/bin/chattr +ai /root/.ssh/authorized_keys

#: immutable_flag_set harmless: resolv.conf and other flags
#: keep process.name == "chattr" AND event.action == "exec"
chattr +i /etc/resolv.conf
chattr -i /etc/resolv.conf
touch /tmp/image
chattr +C /tmp/image

#: kernel_thread_name_faked attack: exec -a
(exec -a '[kworker/0:1]' sleep 0.1)

#: kernel_thread_name_faked attack: a file of that name
cp /bin/sleep '/tmp/[kthreadd]'
'/tmp/[kthreadd]' 0.1

#: kernel_thread_name_faked attack: perl by alice
#: by alice
perl -e 'exec {"/bin/sleep"} "[kdmflush/254:0]", "0.1"'

#: kernel_thread_name_faked harmless: a test in brackets
#: keep event.action == "exec" AND process.command_line contains "["
/usr/bin/[ kworker = kworker ]
/usr/bin/[ -e /proc ]

#: system_name_outside_system_folders attack: sshd in a temporary folder
cp /bin/sleep /tmp/sshd
/tmp/sshd 0.1

#: system_name_outside_system_folders attack: systemd-logind by alice
#: by alice
mkdir -p /home/alice/.config
cp /bin/sleep /home/alice/.config/systemd-logind
/home/alice/.config/systemd-logind 0.1

#: system_name_outside_system_folders attack: a thread's name
cp /bin/sleep /var/tmp/kworker
/var/tmp/kworker 0.1

#: system_name_outside_system_folders harmless: the real ones
#: keep process.name in ["sshd", "cron", "systemd"] AND event.action == "exec"
/usr/sbin/sshd -V
/usr/lib/systemd/systemd --version > /dev/null
timeout 0.1 /usr/sbin/cron -f

#: excepted_name_taken attack: a script called apt
printf '#!/bin/sh\nid -u\n' > /var/tmp/apt
chmod +x /var/tmp/apt
/var/tmp/apt

#: excepted_name_taken attack: a link called dpkg to a shell
ln -s /bin/bash /opt/dpkg
/opt/dpkg -c 'id -u; true'

#: excepted_name_taken attack: python called containerd-shim by alice
#: by alice
mkdir -p /home/alice/.cache
cp /usr/bin/python3 /home/alice/.cache/containerd-shim
/home/alice/.cache/containerd-shim -c 'pass'

#: excepted_name_taken harmless: the real ones
#: keep process.name in ["dpkg", "apt-get", "runc"] AND event.action == "exec"
dpkg --version
apt-get --version
# No runtime is in the image; where Docker runs without root, it is in a home.
mkdir -p /home/alice/bin
cp /bin/true /home/alice/bin/runc
/home/alice/bin/runc --version

#: program_of_deceptive_name attack: dots
mkdir -p /dev/shm/...
cp /bin/sleep /dev/shm/.../x
/dev/shm/.../x 0.1

#: program_of_deceptive_name attack: a blank at the end
cp /bin/sleep '/usr/bin/sshd '
'/usr/bin/sshd ' 0.1

#: program_of_deceptive_name attack: writing from right to left
name=$(printf '/tmp/report\342\200\256fdp.sh')
cp /bin/sleep "$name"
"$name" 0.1

#: program_of_deceptive_name harmless: blanks and dots within
#: keep event.action == "exec" AND process.executable startswith "/opt/"
mkdir -p '/opt/My Programs/.hidden' /opt/a..b
cp /bin/true '/opt/My Programs/my program'
cp /bin/true '/opt/a..b/x...y'
'/opt/My Programs/my program'
/opt/a..b/x...y

#: process_hidden_by_mount attack: bind mount
sleep 1 &
mkdir /tmp/empty
mount --bind /tmp/empty /proc/$!

#: process_hidden_by_mount attack: tmpfs
sleep 1 &
mount -t tmpfs tmpfs /proc/$!

#: process_hidden_by_mount harmless: a container's mounts
#: keep event.action == "mount" AND mount.target contains "proc"
mkdir -p /mnt/proc
mount -t proc proc /mnt/proc
mount --bind /dev/null /proc/kcore
mount -t tmpfs tmpfs /proc/bus
mount --bind /proc/sys /proc/sys

#: hidden_program_file attack: cp
cp /bin/true /dev/shm/.x

#: hidden_program_file attack: curl and chmod
python3 - <<'END' &
import socket
s = socket.create_server(("127.0.0.1", 8080)); s.settimeout(3)
c, _ = s.accept(); c.recv(4096)
c.sendall(b"HTTP/1.0 200 OK\r\n\r\n#!/bin/sh\n"); c.close()
END
for _ in {1..100}; do ss -ltn | grep -q :8080 && break; sleep 0.02; done
mkdir -p /var/tmp/.cache-x
curl -s -o /var/tmp/.cache-x/run http://127.0.0.1:8080/
chmod +x /var/tmp/.cache-x/run

#: hidden_program_file attack: install
install -m 755 /bin/true /usr/lib/.libssl

#: hidden_program_file harmless: hidden files that are no programs
#: keep file.path startswith "/tmp/.X" OR file.path startswith "/etc/.pwd"
mkdir -m 1777 /tmp/.X11-unix
touch /tmp/.X0-lock
chmod 444 /tmp/.X0-lock
useradd bob

#: hidden_program_file harmless: rsync
#: keep process.name == "rsync" AND event.action in ["create", "chmod", "rename"]
mkdir -p /tmp/deploy
cp /bin/true /tmp/deploy/tool
rsync -a /tmp/deploy/ /usr/local/bin/

#: file_made_executable_in_temporary_folder attack: chmod
echo 'id' > /tmp/x.sh
chmod +x /tmp/x.sh

#: file_made_executable_in_temporary_folder attack: perl by alice
#: by alice
echo 'id' > /dev/shm/x
perl -e 'chmod 0777, "/dev/shm/x"'

#: file_made_executable_in_temporary_folder harmless: no program, or not there
#: keep event.action == "chmod"
echo text > /tmp/notes
chmod 600 /tmp/notes
echo id > /usr/local/bin/own
chmod 755 /usr/local/bin/own

#: hosts_file_changed attack: a shell
echo '203.0.113.5 updates.example.com' >> /etc/hosts

#: hosts_file_changed attack: sed
sed -i 's/127.0.0.1/203.0.113.5/' /etc/resolv.conf

#: hosts_file_changed harmless: a package and dhclient
#: keep file.path in ["/etc/hosts", "/etc/resolv.conf"]
mkdir -p /tmp/p/DEBIAN
printf 'Package: cluster\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\necho 203.0.113.9 cluster >> /etc/hosts\n' > /tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null
# dhclient is not among the tools that are installed here: a script under its script's name.
printf '#!/bin/sh\necho nameserver 203.0.113.1 > /etc/resolv.conf\n' > /usr/sbin/dhclient-script
chmod 755 /usr/sbin/dhclient-script
dhclient-script

#: root_certificate_added attack: openssl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /tmp/key -subj /CN=Update -days 30 -out /usr/local/share/ca-certificates/update.crt 2>/dev/null

#: root_certificate_added attack: a shell appends to the bundle
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /tmp/key -subj /CN=Update -days 30 -out /tmp/update.crt 2>/dev/null
cat /tmp/update.crt >> /etc/ssl/certs/ca-certificates.crt

#: root_certificate_added harmless: the list is built anew
#: keep file.path startswith "/etc/ssl/certs/" AND event.action in ["rename", "create", "symlink"]
rm -f /etc/ssl/certs/ca-certificates.crt
update-ca-certificates > /dev/null

#: package_key_added attack: cp
echo key > /tmp/key.asc
cp /tmp/key.asc /etc/apt/trusted.gpg.d/vendor.asc

#: package_key_added attack: gpg by alice
#: by alice
gpg --batch --quiet --passphrase '' --quick-generate-key vendor@example.com ed25519 sign 1d
gpg --export vendor@example.com > /tmp/vendor.gpg
sudo tee /usr/share/keyrings/vendor.gpg < /tmp/vendor.gpg > /dev/null

#: package_key_added harmless: a package
#: keep file.path startswith "/usr/share/keyrings/"
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/keyrings
printf 'Package: vendor-keyring\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
echo key > /tmp/p/usr/share/keyrings/vendor.gpg
dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null

#: io_uring_by_script attack: perl
perl -e 'syscall(425, 4, my $parameters = "\0" x 120)'

#: io_uring_by_script attack: ruby by alice
#: by alice
ruby -e 'parameters = "\0" * 120; syscall(425, 4, [parameters].pack("p").unpack1("Q"))'

#: io_uring_by_script attack: from a temporary folder
cp /usr/bin/perl /tmp/x
/tmp/x -e 'syscall(425, 4, my $parameters = "\0" x 120)'

#: io_uring_by_script harmless: a program in the system's folders
#: keep event.action == "setup"
cp /usr/bin/perl /usr/local/bin/database
database -e 'syscall(425, 4, my $parameters = "\0" x 120)'

#: program_deletes_itself attack: perl
cp /usr/bin/perl /tmp/x
/tmp/x -e 'unlink "/tmp/x"'

#: program_deletes_itself attack: busybox by alice
#: by alice
cp /bin/busybox /home/alice/rm
/home/alice/rm /home/alice/rm

#: program_deletes_itself harmless: an installer is deleted by its script
#: keep event.action in ["exec", "delete"] AND (process.executable == "/tmp/setup" OR file.path == "/tmp/setup")
cp /bin/true /tmp/setup
/tmp/setup
rm /tmp/setup

#: program_deletes_itself harmless: a program deletes another file
#: keep event.action in ["exec", "delete"] AND process.executable == "/tmp/x"
cp /usr/bin/perl /tmp/x
touch /tmp/x.lock
/tmp/x -e 'unlink "/tmp/x.lock"'

#: secure_deletion attack: shred
echo tool > /tmp/tool
shred -u /tmp/tool

#: secure_deletion attack: busybox
echo tool > /tmp/tool
busybox shred -u /tmp/tool

#: secure_deletion harmless: rm
#: keep process.name in ["rm", "shred"] AND event.action == "exec"
touch /tmp/tool
rm /tmp/tool
shred --version > /dev/null

#: system_file_writable_by_all attack: chmod
chmod 777 /etc/passwd

#: system_file_writable_by_all attack: chmod by letters
chmod -R o+w /etc/cron.d

#: system_file_writable_by_all attack: python by alice
#: by alice
sudo python3 -c 'import os; os.chmod("/usr/local/sbin", 0o777)'

#: system_file_writable_by_all harmless: for its group alone
#: keep event.action == "chmod"
chmod 664 /etc/motd
chmod 755 /usr/local/sbin
mkdir -p /srv/share
chmod 777 /srv/share

#: file_hidden_by_mount attack: a log
touch /var/log/auth.log
mount --bind /dev/null /var/log/auth.log

#: file_hidden_by_mount attack: a program
cp /bin/true /tmp/ps
mount -o bind /tmp/ps /usr/bin/ps

#: file_hidden_by_mount harmless: a file system of its own
#: keep event.action == "mount" AND mount.target startswith "/"
mkdir -p /var/log/apache2/archive /srv/web
mount -t tmpfs tmpfs /srv/web
mount --bind /srv/web /var/log/apache2/archive
