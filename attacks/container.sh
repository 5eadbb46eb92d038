# Containers. What acts on the host's kernel writes back what is there, or opens without writing.

#: container_escape_by_release_agent attack: sh
#: by container
mkdir /mnt/cgroup
mount -t cgroup -o devices cgroup /mnt/cgroup
agent=$(cat /mnt/cgroup/release_agent)
echo "$agent" > /mnt/cgroup/release_agent
umount /mnt/cgroup

#: container_escape_by_release_agent attack: python
#: by container
mkdir /mnt/cgroup
mount -t cgroup -o freezer cgroup /mnt/cgroup
python3 -c 'open("/mnt/cgroup/release_agent", "r+").close()'
umount /mnt/cgroup

#: container_escape_by_release_agent attack: notify_on_release
#: by container
mkdir /mnt/cgroup
mount -t cgroup -o pids cgroup /mnt/cgroup
notify=$(cat /mnt/cgroup/notify_on_release)
echo "$notify" > /mnt/cgroup/notify_on_release
umount /mnt/cgroup

#: container_escape_by_release_agent harmless: other files of control groups, and a file of a like name
#: by container
#: keep event.action in ["create", "write"] AND file.name in ["cgroup.clone_children", "release_agents"]
mkdir /mnt/cgroup
mount -t cgroup -o devices cgroup /mnt/cgroup
cat /mnt/cgroup/release_agent
: >> /mnt/cgroup/cgroup.clone_children
umount /mnt/cgroup
echo > /root/release_agents

#: core_pattern_changed_in_container attack: sh
#: by container
pattern=$(cat /proc/sys/kernel/core_pattern)
echo "$pattern" > /proc/sys/kernel/core_pattern

#: core_pattern_changed_in_container attack: sysctl
#: by container
sysctl -w kernel.core_pattern="$(sysctl -n kernel.core_pattern)"

#: core_pattern_changed_in_container harmless: it is read, and something else is set
#: by container
#: keep event.action == "write" AND file.path startswith "/proc/sys/"
cat /proc/sys/kernel/core_pattern
uses=$(cat /proc/sys/kernel/core_uses_pid)
echo "$uses" > /proc/sys/kernel/core_uses_pid

#: core_pattern_changed attack: sh
pattern=$(cat /proc/sys/kernel/core_pattern)
echo "$pattern" > /proc/sys/kernel/core_pattern

#: core_pattern_changed attack: python
python3 -c '
pattern = open("/proc/sys/kernel/core_pattern").read()
open("/proc/sys/kernel/core_pattern", "w").write(pattern)'

#: core_pattern_changed harmless: what sets it at boot
#: keep event.action == "write" AND file.path == "/proc/sys/kernel/core_pattern"
echo "kernel.core_pattern = $(cat /proc/sys/kernel/core_pattern)" > /root/core.conf
/lib/systemd/systemd-sysctl /root/core.conf

#: kernel_helper_changed attack: sh
#: by container
command=$(cat /proc/sys/kernel/poweroff_cmd)
echo "$command" > /proc/sys/kernel/poweroff_cmd

#: kernel_helper_changed attack: sysctl
sysctl -w kernel.poweroff_cmd="$(sysctl -n kernel.poweroff_cmd)"

#: kernel_helper_changed harmless: something else is set
#: keep event.action == "write" AND file.path startswith "/proc/sys/kernel/"
panic=$(cat /proc/sys/kernel/panic)
echo "$panic" > /proc/sys/kernel/panic

#: program_format_registered attack: sh
# A user namespace has formats of its own (since Linux 6.7), so that nothing of it is seen outside.
unshare --user --map-root-user --mount sh -c '
mount -t binfmt_misc binfmt_misc /mnt
echo ":openclaw:E::openclaw::/bin/true:" > /mnt/register
ls /mnt'

#: program_format_registered attack: python in a container
#: by container
unshare --user --map-root-user --mount sh -c '
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
python3 -c "
import os
file = os.open(\"/proc/sys/fs/binfmt_misc/register\", os.O_WRONLY)
os.write(file, b\":openclaw:E::openclaw::/bin/true:C\")"
ls /proc/sys/fs/binfmt_misc'

#: program_format_registered harmless: the formats are read and switched on
#: keep event.action == "write" AND file.name in ["status", "register"]
unshare --user --map-root-user --mount sh -c '
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
cat /proc/sys/fs/binfmt_misc/status
echo 1 > /proc/sys/fs/binfmt_misc/status'
echo > /root/register

#: container_mounts_host_disk attack: mount
#: by container
# No disk of this machine is mounted: a tmpfs is, with a disk's name for its source, which is what the sensor is told.
mkdir /mnt/host
mount -t tmpfs /dev/sda1 /mnt/host

#: container_mounts_host_disk attack: python
#: by container
mkdir /mnt/host
python3 -c 'import ctypes; print(ctypes.CDLL(None).mount(b"/dev/nvme0n1p2", b"/mnt/host", b"tmpfs", 1, None))'

#: container_mounts_host_disk harmless: no disk
#: by container
#: keep event.action == "mount"
mkdir /mnt/scratch /mnt/null
mount -t tmpfs tmpfs /mnt/scratch
touch /mnt/file
mount --bind /dev/null /mnt/file

#: container_opens_host_disk attack: dd
#: by container
# An unused loop device, under a disk's name: it is opened, and holds nothing.
mknod /dev/sda b 7 7
dd if=/dev/sda of=/dev/null count=1

#: container_opens_host_disk attack: debugfs
#: by container
mknod /dev/vda1 b 7 7
debugfs -R 'cat /etc/shadow' /dev/vda1

#: container_opens_host_disk harmless: other devices, and a tool that asks for the kind
#: by container
#: keep file.path startswith ["/dev/sda", "/dev/loop"] AND event.action in ["read", "write"]
mknod /dev/sda b 7 7
mknod /dev/loop7 b 7 7
blkid -p /dev/sda
dd if=/dev/null of=/dev/loop7 count=0 conv=notrunc

#: device_node_made_in_container attack: mknod
#: by container
mknod /tmp/.disk b 7 7

#: device_node_made_in_container attack: busybox
#: by container
busybox mknod /tmp/.disk b 7 7

#: device_node_made_in_container attack: python
#: by container
python3 -c 'import os; os.mknod("/dev/sda1", 0o60600, os.makedev(7, 7))'

#: device_node_made_in_container harmless: a pipe and a character device
#: by container
#: keep process.name == "mknod" AND event.action == "exec"
mknod /tmp/pipe p
mknod -m 666 /tmp/null c 1 3

#: container_uses_docker_socket attack: curl
#: by container
python3 -c '
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("/var/run/docker.sock")
server.listen()
peer = server.accept()[0]
peer.recv(4096)
peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n[]\n")' &
until [ -S /var/run/docker.sock ]; do sleep 0.02; done
curl -s --max-time 5 --unix-socket /var/run/docker.sock http://localhost/containers/json

#: container_uses_docker_socket attack: socat
#: by container
socat - UNIX-CONNECT:/run/containerd/containerd.sock

#: container_uses_docker_socket harmless: another socket, and no container
#: by container
#: keep process.name == "curl" AND event.action == "exec"
curl -s --max-time 1 --unix-socket /run/php/php-fpm.sock http://localhost/status
curl -s --max-time 1 http://127.0.0.1:9/docker

#: cluster_client_in_container attack: kubectl
#: by container
# Debian has no small client of either: scripts have their names.
printf '#!/bin/sh\n' > /usr/local/bin/kubectl
chmod +x /usr/local/bin/kubectl
kubectl get pods --all-namespaces

#: cluster_client_in_container attack: docker
#: by container
printf '#!/bin/sh\n' > /usr/local/bin/docker
chmod +x /usr/local/bin/docker
docker exec -it web sh

#: cluster_client_in_container harmless: the version, and no container's client
#: by container
#: keep process.name in ["kubectl", "docker-compose"] AND event.action == "exec"
printf '#!/bin/sh\n' > /usr/local/bin/kubectl
cp /usr/local/bin/kubectl /usr/local/bin/docker-compose
chmod +x /usr/local/bin/*
kubectl version
docker-compose up

#: container_enters_namespaces attack: nsenter
#: by container
unshare --mount --pid --fork sleep 20 &
until inside=$(pgrep -x sleep); do sleep 0.02; done
nsenter --target "$inside" --mount --pid id
kill "$inside"

#: container_enters_namespaces attack: python
#: by container
unshare --mount sleep 20 &
until [ "$(readlink /proc/$!/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.02; done
python3 -c '
import ctypes, os, sys
print(ctypes.CDLL(None).setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", 0), 0))' $!
kill $!

#: container_enters_namespaces harmless: the network of another
#: by container
#: keep event.action == "setns" OR (process.name == "nsenter" AND event.action == "exec")
unshare --net sleep 20 &
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
nsenter --net="/proc/$!/ns/net" ip link
kill $!

#: container_changes_root_to_host attack: chroot
#: by container
mkdir /host
mount --bind / /host
chroot /host id

#: container_changes_root_to_host attack: by proc
#: by container
chroot /proc/1/root /bin/sh -c 'id; true'

#: container_changes_root_to_host harmless: a folder of its own
#: by container
#: keep process.name == "chroot" AND event.action == "exec"
mkdir /srv/jail
mount --bind / /srv/jail
chroot /srv/jail id

#: container_writes_host_files attack: sh
#: by container
mkdir /host
mount --bind / /host
echo '* * * * * root id' > /host/etc/cron.d/update

#: container_writes_host_files attack: python
#: by container
mkdir -p /mnt/host /root/.ssh
mount --bind / /mnt/host
python3 -c 'open("/mnt/host/root/.ssh/authorized_keys", "a").write("ssh-ed25519 AAAA a\n")'

#: container_writes_host_files harmless: other files of the host, and the container's own
#: by container
#: keep event.action == "create" AND file.path in ["/host/var/log/agent.log", "/etc/cron.d/own"]
mkdir /host
mount --bind / /host
sh -c 'echo started > /host/var/log/agent.log'
sh -c 'echo > /etc/cron.d/own'

#: container_drift attack: a copied program
#: by container
cp /usr/bin/id /usr/local/bin/miner
miner

#: container_drift attack: curl
#: by container
mkdir /srv/www
cp /usr/bin/id /srv/www/loader
busybox httpd -p 127.0.0.1:8000 -h /srv/www
until ss -ltn | grep -q :8000; do sleep 0.02; done
curl -s -o /usr/local/bin/loader http://127.0.0.1:8000/loader
chmod +x /usr/local/bin/loader
loader

#: container_drift harmless: programs of the image, and of a package
#: by container
#: keep process.name in ["id", "identify", "sh"] AND event.action == "exec"
id
mkdir -p package/DEBIAN package/usr/bin
cp /usr/bin/id package/usr/bin/identify
printf 'Package: identify\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n' > package/DEBIAN/control
printf '#!/bin/sh\nidentify\n' > package/DEBIAN/postinst
chmod 755 package/DEBIAN/postinst
dpkg-deb --build package identify.deb
dpkg -i identify.deb

#: container_shell attack: bash
#: by container
# A terminal as docker exec -it has one: what holds it stands in the runtime's place.
python3 -c 'import pty; pty.spawn(["/bin/bash"], lambda fd: (__import__("os").write(fd, b"exit\n"), __import__("os").read(fd, 1024))[1])' < /dev/null

#: container_shell attack: sh by expect
#: by container
expect -c 'set timeout 5; spawn sh; send "exit\r"; expect eof'

#: container_shell harmless: a script without a terminal
#: by container
#: keep process.name in ["sh", "bash"] AND event.action == "exec"
sh -c 'id; true'
python3 -c 'import pty; pty.spawn(["/bin/bash", "-c", "id; true"])' < /dev/null

#: container_loads_module attack: insmod
#: by container
# No module is there: insmod is run, and loads nothing.
insmod /tmp/none.ko

#: container_loads_module attack: busybox
#: by container
busybox insmod /tmp/none.ko

#: container_loads_module harmless: modules are listed, and one is asked for by name
#: by container
#: keep process.name in ["lsmod", "modprobe"] AND event.action == "exec"
lsmod
modprobe -n ip_tables

#: container_loads_bpf attack: python
#: by container
python3 - <<'END'
import ctypes, struct
program = ctypes.create_string_buffer(struct.pack("<QQ", 0xb7, 0x95))
licence = ctypes.create_string_buffer(b"GPL")
attributes = ctypes.create_string_buffer(
    struct.pack("<IIQQ", 1, 2, ctypes.addressof(program), ctypes.addressof(licence)), 128)
print(ctypes.CDLL(None).syscall(321, 5, attributes, 128))
END

#: container_loads_bpf attack: perl
#: by container
perl -e '
my $program = pack "QQ", 0xb7, 0x95;
my $licence = "GPL\0";
my $attributes = pack "IIQQ", 1, 2, unpack("Q", pack "p", $program), unpack("Q", pack "p", $licence);
$attributes .= "\0" x (128 - length $attributes);
print syscall(321, 5, $attributes, 128), "\n"'

#: container_loads_bpf harmless: a program for a control group, and a list
#: by container
#: keep event.action == "load"
python3 - <<'END'
import ctypes, struct
# r0 = 1; exit: of the type cgroup_device.
program = ctypes.create_string_buffer(struct.pack("<QQ", 0x1000000b7, 0x95))
licence = ctypes.create_string_buffer(b"GPL")
attributes = ctypes.create_string_buffer(
    struct.pack("<IIQQ", 15, 2, ctypes.addressof(program), ctypes.addressof(licence)), 128)
print(ctypes.CDLL(None).syscall(321, 5, attributes, 128))
END

#: container_with_host_powers attack: all of them
# A container of its own, as the rule tells of each once a day: a control group of a container's name.
mkdir /mnt/cgroup
mount -t cgroup2 cgroup2 /mnt/cgroup
group=/mnt/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/docker-0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b0d2b.scope
mkdir "$group"
sh -c "echo 0 > $group/cgroup.procs; exec id"
rmdir "$group"

#: container_with_host_powers attack: some of them
mkdir /mnt/cgroup
mount -t cgroup2 cgroup2 /mnt/cgroup
group=/mnt/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/docker-0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b0d3b.scope
mkdir "$group"
setpriv --inh-caps=-all --bounding-set=-all,+sys_admin,+sys_module,+setuid,+setgid sh -c "echo 0 > $group/cgroup.procs; exec id"
rmdir "$group"

#: container_with_host_powers harmless: a container as docker makes it
#: keep process.name == "id" AND event.action == "exec"
# A control group of a container's name, entered by what has the capabilities that docker leaves.
mkdir /mnt/cgroup
mount -t cgroup2 cgroup2 /mnt/cgroup
group=/mnt/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/docker-0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b0d1b.scope
mkdir "$group"
kept=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap
setpriv --inh-caps=-all --bounding-set="-all,$kept" sh -c "echo 0 > $group/cgroup.procs; exec id"
rmdir "$group"

#: container_started_with_host_powers attack: docker with the host's files
# Debian's docker is too large for this root file system: a script has its name.
printf '#!/bin/sh\n' > /usr/local/bin/docker
chmod +x /usr/local/bin/docker
docker run -it --rm -v /:/host alpine chroot /host

#: container_started_with_host_powers attack: podman with all powers
printf '#!/bin/sh\n' > /usr/local/bin/podman
chmod +x /usr/local/bin/podman
podman run --privileged --pid host alpine sh

#: container_started_with_host_powers attack: docker with the runtime's socket
printf '#!/bin/sh\n' > /usr/local/bin/docker
chmod +x /usr/local/bin/docker
docker run -it --rm -v /var/run/docker.sock:/var/run/docker.sock docker:cli

#: container_started_with_host_powers attack: podman by mount
printf '#!/bin/sh\n' > /usr/local/bin/podman
chmod +x /usr/local/bin/podman
podman run --rm --mount type=bind,source=/,target=/mnt/host alpine sh

#: container_started_with_host_powers harmless: usual containers
#: keep process.name == "docker" AND event.action == "exec"
printf '#!/bin/sh\n' > /usr/local/bin/docker
chmod +x /usr/local/bin/docker
docker run -d --rm -v /srv/data:/data -p 8080:80 --cap-add=NET_BIND_SERVICE nginx
docker exec -it web sh
docker build -t own .

#: container_with_leaked_descriptor attack: runc exec
runc --root /tmp/runc exec --cwd /proc/self/fd/7 one id

#: container_with_leaked_descriptor attack: docker
# Debian's docker is too large for this root file system: a script has its name.
printf '#!/bin/sh\n' > /usr/local/bin/docker
chmod +x /usr/local/bin/docker
docker run -w /proc/self/fd/8 --rm alpine cat ../../../../etc/shadow

#: container_with_leaked_descriptor attack: a way up from the descriptor
runc --root /tmp/runc exec --cwd /proc/self/fd/7/../../.. one id

#: container_with_leaked_descriptor harmless: a folder of the container
#: keep process.name in ["runc", "ls"] AND event.action == "exec"
runc --root /tmp/runc exec --cwd /srv/www one id
ls /proc/self/fd/ > /dev/null

#: container_runtime_overwritten attack: python
#: by container
python3 -c 'import os; os.close(os.open("/usr/sbin/runc", os.O_WRONLY))'

#: container_runtime_overwritten attack: cp
cp /bin/true /root/new
cp --remove-destination /root/new /usr/sbin/runc

#: container_runtime_overwritten harmless: a package brings it
#: keep event.action in ["create", "rename"] AND file.path startswith "/usr/local/sbin/runc"
mkdir -p package/DEBIAN package/usr/local/sbin
cp /bin/true package/usr/local/sbin/runc
printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n' > package/DEBIAN/control
dpkg-deb --build package own.deb
dpkg -i own.deb

#: package_manager_in_container attack: apt-get
#: by container
apt-get install -y --no-download nmap-common < /dev/null | tail -n 1

#: package_manager_in_container attack: dpkg
#: by container
mkdir -p package/DEBIAN
printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n' > package/DEBIAN/control
dpkg-deb --build package own.deb
dpkg -i own.deb

#: package_manager_in_container harmless: packages are listed
#: by container
#: keep process.name in ["dpkg", "apt-get", "apt"] AND event.action == "exec"
dpkg -l > /dev/null
apt-get --version > /dev/null
apt list --installed > /dev/null

#: container_reads_service_account attack: cat
#: by container
secrets=/run/secrets/kubernetes.io/serviceaccount
mkdir -p $secrets/..2026_01_01
echo eyJhbGciOi > $secrets/..2026_01_01/token
ln -s ..2026_01_01 $secrets/..data
ln -s ..data/token $secrets/token
sleep 6
cat /var$secrets/token

#: container_reads_service_account attack: curl
#: by container
secrets=/run/secrets/kubernetes.io/serviceaccount
mkdir -p $secrets
echo eyJhbGciOi > $secrets/token
sleep 6
curl -s --max-time 1 -H @$secrets/token https://127.0.0.1:9/api

#: container_reads_service_account harmless: the pod's own program
#: by container
#: keep event.action == "read" AND file.path startswith "/run/secrets/kubernetes.io/"
secrets=/run/secrets/kubernetes.io/serviceaccount
mkdir -p $secrets
echo eyJhbGciOi > $secrets/token
echo default > $secrets/namespace
sleep 6
python3 -c 'open("/run/secrets/kubernetes.io/serviceaccount/token").read()'
cat $secrets/namespace

#: cgroup_device_rules_changed attack: sh
#: by container
mkdir /mnt/cgroup
mount -t cgroup -o devices cgroup /mnt/cgroup
: >> /mnt/cgroup/devices.allow
umount /mnt/cgroup

#: cgroup_device_rules_changed attack: python
#: by container
mkdir /mnt/cgroup
mount -t cgroup -o devices cgroup /mnt/cgroup
python3 -c 'import os; os.close(os.open("/mnt/cgroup/devices.allow", os.O_WRONLY))'
umount /mnt/cgroup

#: cgroup_device_rules_changed harmless: the rules are read
#: by container
#: keep file.name == "cgroup.clone_children" AND event.action == "write"
mkdir /mnt/cgroup
mount -t cgroup -o devices cgroup /mnt/cgroup
cat /mnt/cgroup/devices.list
: >> /mnt/cgroup/cgroup.clone_children
umount /mnt/cgroup

#: container_remounts attack: the root
#: by container
mount -o remount,rw /

#: container_remounts attack: proc again
#: by container
mount -t proc proc /proc

#: container_remounts attack: control groups
#: by container
mkdir /mnt/cgroup
mount -t cgroup -o devices cgroup /mnt/cgroup
umount /mnt/cgroup

#: container_remounts harmless: folders of its own
#: by container
#: keep event.action == "mount"
mkdir /mnt/scratch
mount -t tmpfs tmpfs /mnt/scratch
mount -o remount,ro /mnt/scratch
mount --bind /mnt/scratch /opt

#: container_attack_tool attack: amicontained
#: by container
# It is in no distribution: a script has its name.
printf '#!/bin/sh\n' > /tmp/amicontained
chmod +x /tmp/amicontained
/tmp/amicontained

#: container_attack_tool attack: deepce
#: by container
printf '#!/bin/sh\n' > /tmp/deepce.sh
chmod +x /tmp/deepce.sh
/tmp/deepce.sh

#: container_attack_tool attack: deepce by bash
#: by container
printf 'id\n' > /tmp/deepce.sh
bash /tmp/deepce.sh

#: container_attack_tool harmless: the toolkit of a like name
#: keep process.name == "cdk" AND event.action == "exec"
mkdir -p /usr/lib/node_modules/aws-cdk/bin
printf '#!/bin/sh\n' > /usr/lib/node_modules/aws-cdk/bin/cdk
chmod +x /usr/lib/node_modules/aws-cdk/bin/cdk
/usr/lib/node_modules/aws-cdk/bin/cdk deploy
