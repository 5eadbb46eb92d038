# Work: what people and machines do all day. No rule is to find anything of high or critical severity in it.

#: work: a package is installed from a file
mkdir -p /tmp/package/DEBIAN /tmp/package/usr/bin /tmp/package/etc/cron.d /tmp/package/usr/lib/systemd/system
printf 'Package: example\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: an example\n' > /tmp/package/DEBIAN/control
printf '#!/bin/sh\nset -e\nadduser --system --group example\nupdate-alternatives --install /usr/bin/an-example an-example /usr/bin/example 1\nchmod 4755 /usr/bin/example\n' > /tmp/package/DEBIAN/postinst
chmod 755 /tmp/package/DEBIAN/postinst
cp /bin/true /tmp/package/usr/bin/example
echo '0 4 * * * root /usr/bin/example' > /tmp/package/etc/cron.d/example
printf '[Service]\nExecStart=/usr/bin/example\n' > /tmp/package/usr/lib/systemd/system/example.service
dpkg-deb --build /tmp/package /tmp/example.deb
dpkg --install /tmp/example.deb
dpkg --purge example

#: work: packages are installed by apt
#: with network
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tree nginx-light groff-base

#: work: packages are upgraded by apt
#: with network
sed 's# \([a-z]*\) main.*# \1-updates main#' /etc/apt/sources.list > /etc/apt/sources.list.d/updates.list
sed 's#/debian/* \([a-z]*\) main.*#/debian-security \1-security main#' /etc/apt/sources.list > /etc/apt/sources.list.d/security.list
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get upgrade -y

#: work: the daily jobs of cron
echo '@reboot root run-parts /etc/cron.daily' >> /etc/crontab
cron -f &
sleep 3
kill $!
wait || true

#: work: logs are rotated
for log in auth.log syslog dpkg.log apache2/access.log; do echo something >> /var/log/$log; done
logrotate --force /etc/logrotate.conf

#: work: logins over ssh by key
/usr/sbin/sshd -o PidFile=/run/sshd.pid
ssh='ssh -o StrictHostKeyChecking=accept-new'
su - alice -c "$ssh alice@203.0.113.5 'id; uptime; ls -la'"
su - alice -c "$ssh -tt alice@203.0.113.5" <<< 'cd /tmp; df; exit'
su - alice -c "rsync -a -e '$ssh' /usr/share/doc/bash alice@203.0.113.5:copy"
su - alice -c "scp -o StrictHostKeyChecking=accept-new /etc/hostname alice@203.0.113.5:name"
kill "$(cat /run/sshd.pid)"

#: work: an administrator at a terminal
#: by alice
export TERM=dumb PS1='> '
cat > /tmp/type <<'EOF'
set timeout 10
spawn bash --norc -i
expect "> "
foreach line {"sudo ls -la /root" "sudo -i id" "sudo cat /var/log/dpkg.log | tail -1" "sudo su - -c 'ps aux | head'"
              "sudo sed -i s/x/x/ /etc/motd" "history | tail -3" "ps aux | grep cron" "df -h" "free" "ss -ltn" "id" "w"} {
    send "$line\r"
    expect "> " {} timeout { exit 1 }
}
send "exit\r"
expect eof
EOF
expect -f /tmp/type

#: work: a user is made and removed
useradd --create-home bob
echo bob:secret | chpasswd
su - bob -c id
usermod --append --groups adm bob
userdel --remove bob || [ $? = 12 ]

#: work: everything is looked at
find / -xdev -type f -size +100M > /dev/null
find / -xdev -name '*.conf' -newer /etc/hostname > /dev/null
grep -rl localhost /etc > /dev/null || true
du -s /usr /var /etc

#: work: a backup
tar --create --gzip --file /var/backups/etc.tar.gz /etc /home /root /var/lib/dpkg/status
tar --list --file /var/backups/etc.tar.gz > /dev/null
rsync -a /etc /var/backups/etc

#: work: a database begins and is used
pg_ctlcluster 15 main start
su - postgres -c 'createdb shop && psql -c "create table a as select generate_series(1, 1000) as b" shop && psql -c "select count(*) from a" shop'
su - postgres -c 'pg_dump shop' > /var/backups/shop.sql
su - postgres -c 'vacuumdb --all'
pg_ctlcluster 15 main stop

#: work: a web server begins and answers
apachectl start
until curl -s -o /dev/null http://127.0.0.1/; do sleep 0.1; done
for page in $(seq 50); do curl -s -o /dev/null "http://203.0.113.5/?page=$page"; done
apachectl graceful
apachectl stop

#: work: git
#: by alice
git config --global user.email alice@example.org
git config --global user.name Alice
git init -q project
cd project || exit
for file in $(seq 200); do echo "$file" > "file-$file"; done
git add . && git commit -qm 'Begin'
git checkout -q -b other
for file in $(seq 200); do echo other >> "file-$file"; done
git commit -qam 'Change all'
git checkout -q master
git merge -q other
git gc -q
git clone -q ~/project ~/clone
rm -rf ~/project

#: work: a program is fetched and unpacked
#: by alice
mkdir served bin && cp /bin/true served/tool && tar -czf served/tool.tgz -C served tool
timeout 20 python3 -m http.server --directory served 8000 &
until ss -ltn | grep -q :8000; do sleep 0.05; done
curl -s -o /tmp/tool.tgz http://127.0.0.1:8000/tool.tgz
tar -xzf /tmp/tool.tgz -C ~/bin
~/bin/tool
wget -q -O ~/notes.html http://127.0.0.1:8000/
kill %1
wait || true

#: work: C is configured and built
#: with packages
#: by alice
mkdir c && cd c || exit
printf '#include <stdio.h>\nint main(void) { return puts("x") < 0; }\n' > a.c
printf 'all: a b\na: a.c\n\tcc -o a a.c\nb: a.c\n\tcc -O2 -o b a.c && ./b\n' > Makefile
for check in $(seq 20); do cc -o /tmp/conftest a.c && /tmp/conftest; uname -a; hostname; id -u; done > /dev/null
make -j2
gdb -batch -ex run ./a < /dev/null

#: work: a crate is built by cargo
#: with packages
#: by alice
cargo new --quiet --lib part
printf 'fn main() { println!("cargo::rerun-if-changed=build.rs"); }\n' > part/build.rs
cargo new --quiet --bin project && cd project || exit
cargo add --quiet --path ../part
cargo build --release
cargo test
cargo run

#: work: packages of pip
#: with packages
#: with network
#: by alice
python3 -m venv venv
. venv/bin/activate
pip install requests flask pyyaml
pip install --no-binary :all: six
python -c 'import requests, flask; print(flask.__name__)'

#: work: packages of npm
#: with packages
#: with network
#: by alice
mkdir web && cd web || exit
npm init -y
npm install express left-pad esbuild
npx --no-install esbuild --version
node -e 'require("express")()'

#: work: an image of a container is built
#: with packages
mkdir -p /tmp/image && cd /tmp/image || exit
printf '#include <stdio.h>\nint main(void) { return puts("x") < 0; }\n' > hello.c
cc -static -o hello hello.c
printf 'FROM scratch\nCOPY hello /bin/hello\nRUN ["/bin/hello"]\nCMD ["/bin/hello"]\n' > Containerfile
podman --storage-driver=vfs build --isolation=chroot --network=host -t example .
