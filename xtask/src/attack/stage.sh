# A machine for one deed: a root file system of its own over the one of `attacks/`, its own devices, network and
# processes. What is done to it is gone with it, but for the logs in /srv/followed, which the sensor follows from outside. Run by
# `unshare`; its arguments are ROOT, WORK, GROUP, SCRIPT, LOGIN, NETWORK and LOGS: LOGIN is the number of the user who logged
# in, or empty in a container, where nobody does; NETWORK is `own`, or `host` where it is this machine's.
set -eu
root=$1 work=$2 group=$3 script=$4 login=$5 network=$6 logs=$7

mount -t tmpfs -o mode=755,size=4g stage "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
cp "$script" "$work/root/opt/session"
mkdir "$work/root/srv/followed"
mount --bind "$logs" "$work/root/srv/followed"
cd "$work/root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
for folder in tmp run dev/shm; do
    [ "$folder" = dev/shm ] && mount -t tmpfs -o mode=755 dev dev && mkdir dev/shm dev/pts
    mount -t tmpfs -o mode=1777,size=2g "${folder##*/}" "$folder"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mkdir -p run/lock run/sshd run/user

if [ "$network" = own ]; then
    ip link set lo up
    ip address add 203.0.113.5/32 dev lo
    ip address add 2001:db8::5/128 dev lo nodad
else
    cat /etc/resolv.conf > etc/resolv.conf
    # Who vouches for servers on this machine's network is for this machine to say.
    authorities=/etc/ssl/certs/ca-certificates.crt
    cat $authorities > etc/ssl/certs/ca-certificates.crt
    export SSL_CERT_FILE=$authorities PIP_CERT=$authorities NODE_EXTRA_CA_CERTS=$authorities
fi
hostname workstation

# The group is entered last, by what becomes the session, so that none of this is taken for the deed. It is opened here,
# where its path can be seen: what counts is who opened it (since Linux 5.16).
exec 9>"$group/cgroup.procs"
pivot_root . mnt
umount -l /mnt
# A login of its own, as sshd's sessions have, or none, whoever runs this: what rules remember of deeds is then told apart.
echo "${login:-4294967295}" > /proc/self/loginuid
export LANG=C.UTF-8 SHELL=/bin/bash PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
begin='echo 0 >&9 || { echo "the control group of the deed cannot be entered"; exit 1; }; exec 9>&- /bin/bash /opt/session </dev/null'
if [ "${login:-0}" != 0 ]; then
    export HOME=/home/alice USER=alice LOGNAME=alice
    cd
    exec setpriv --reuid="$login" --regid="$login" --init-groups /bin/sh -c "$begin"
fi
export HOME=/root USER=root LOGNAME=root
cd
exec /bin/sh -c "$begin"
