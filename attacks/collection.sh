# Collection: how data is gathered before it is taken away.

#: sensitive_folders_archived attack: tar of etc and the keys of root
mkdir -p /root/.ssh /srv/out
tar czf /srv/out/settings.tgz /etc/ssh /root/.ssh

#: sensitive_folders_archived attack: zip of the homes
cd /srv
zip -qr homes.zip /home

#: sensitive_folders_archived attack: tar below the root folder
tar -C / -cf /srv/all.tar etc

#: sensitive_folders_archived harmless: a project is packed, and an archive is unpacked into a home
#: keep process.name == "tar" AND event.action == "exec"
mkdir -p /srv/project/etc
echo x > /srv/project/etc/x
tar czf /srv/project.tgz -C /srv project
tar xzf /srv/project.tgz -C /root
tar tzf /srv/project.tgz

#: sensitive_folders_archived harmless: cron makes the nightly backup
#: keep process.name == "tar" AND event.action == "exec"
# The job is run by a shell that cron's own name is given to: cron itself waits up to a minute for its time.
cp /usr/bin/bash /usr/local/sbin/cron
/usr/local/sbin/cron -c 'tar czf /srv/backup.tgz /etc /root; true'

#: sensitive_archive_staged attack: tar into tmp
tar czf /tmp/a.tgz /etc/ssh /etc/passwd

#: sensitive_archive_staged attack: zip into dev shm
#: by alice
mkdir -p ~/.ssh
echo key > ~/.ssh/id_ed25519
cd /dev/shm
zip -qr .k.zip ~/.ssh

#: sensitive_archive_staged harmless: a project is packed into tmp
#: keep event.action == "create" AND process.name == "tar"
mkdir -p /srv/project/home
tar czf /tmp/project.tgz -C /srv project
mkdir -p /root/work
tar czf /tmp/work.tgz -C /root work

#: sensitive_archive_staged harmless: a backup of etc into its own folder
#: keep event.action == "create" AND process.name == "tar"
tar czf /var/backups/etc.tgz /etc/ssh

#: sensitive_archive_in_web_root attack: tar of the keys
mkdir -p /var/www/html
tar czf /var/www/html/favicon.tgz /etc/ssh /etc/shadow

#: sensitive_archive_in_web_root attack: zip of a home
mkdir -p /var/www/html
zip -qr /var/www/html/a.zip /home/alice

#: sensitive_archive_in_web_root harmless: a release of the site is packed beside it
#: keep event.action == "create" AND process.name == "tar"
mkdir -p /var/www/html/etc
tar czf /var/www/html/release.tgz -C /var/www/html etc

#: data_archived_by_web_server attack: a page of apache runs tar
mkdir -p /var/www/cgi-bin
printf '#!/bin/sh\necho\ntar czf /var/tmp/site.tgz /var/www/cgi-bin\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: data_archived_by_web_server attack: a page of apache runs zip
mkdir -p /var/www/cgi-bin
printf '#!/bin/sh\necho\nzip -qr /var/tmp/site.zip /var/www/cgi-bin\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: data_archived_by_web_server harmless: a page unpacks, and an administrator packs the site
#: keep process.name == "tar" AND event.action == "exec"
mkdir -p /var/www/cgi-bin
tar czf /srv/upload.tgz -C /var/www cgi-bin
printf '#!/bin/sh\necho\ntar xzf /srv/upload.tgz -C /var/tmp\n' > /var/www/cgi-bin/page
chmod 755 /var/www/cgi-bin/page
printf '%s\n' 'ServerName host' 'LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so' \
    'LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so' \
    'LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so' 'LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so' \
    'Listen 127.0.0.1:8080' 'PidFile /run/site.pid' 'ErrorLog /run/site.log' 'User www-data' 'Group www-data' \
    'ScriptAlias /c/ /var/www/cgi-bin/' > /srv/site.conf
apache2 -f /srv/site.conf
until curl -sf http://127.0.0.1:8080/c/page; do sleep 0.05; done

#: archive_with_password attack: zip -P
cd /srv
zip -qr -P s3cret a.zip /etc/ssh

#: archive_with_password attack: gpg -c
echo data > /srv/data
gpg --batch --pinentry-mode loopback --passphrase s3cret -o /srv/data.gpg -c /srv/data

#: archive_with_password attack: openssl enc
echo data > /srv/data
openssl enc -aes-256-cbc -pbkdf2 -in /srv/data -out /srv/data.bin -k s3cret

#: archive_with_password harmless: plain zip, a gpg signature's check and openssl base64
#: keep event.action == "exec" AND process.name in ["zip", "gpg", "openssl"]
cd /srv
echo data > data
zip -qr a.zip data
gpg --list-keys
openssl enc -base64 -in data
openssl rand -hex 8

#: database_dumped attack: pg_dump into tmp
# A dump of a database that cannot be reached: what counts is that it is asked for.
pg_dump -h 127.0.0.1 -U app -f /tmp/users.sql users

#: database_dumped attack: pg_dumpall in a hidden folder of dev shm
mkdir /dev/shm/.d
cd /dev/shm/.d
/usr/lib/postgresql/15/bin/pg_dumpall -h 127.0.0.1 -U postgres --file=all.sql

#: database_dumped harmless: a backup into its own folder
#: keep event.action == "exec" AND process.name == "pg_dump"
pg_dump -h 127.0.0.1 -U app -f /var/backups/users.sql users

#: dump_redirected attack: pg_dump of a real database
install -d -o postgres -m 700 /run/db
# As `su` begins a session of its own, `setpriv` is used.
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
pg /usr/lib/postgresql/15/bin/initdb -D /run/db -A trust --no-sync >/dev/null
pg /usr/lib/postgresql/15/bin/pg_ctl -D /run/db -o '-c listen_addresses=127.0.0.1 -c unix_socket_directories=/run/db -c fsync=off' -w -l /run/db/log start >/dev/null
/usr/lib/postgresql/15/bin/pg_dump -h 127.0.0.1 -U postgres postgres > /dev/shm/p
wc -l /dev/shm/p
pg /usr/lib/postgresql/15/bin/pg_ctl -D /run/db -m immediate stop

#: dump_redirected attack: tar of the keys
tar cz /etc/ssh /etc/shadow > /tmp/.k

#: dump_redirected harmless: into a backup's folder, and another program into tmp
#: keep event.action == "exec" AND process.name in ["pg_dump", "sort"]
/usr/lib/postgresql/15/bin/pg_dump -h 127.0.0.1 -U postgres postgres > /var/backups/p.sql
sort /etc/passwd > /tmp/sorted

#: data_staged_in_hidden_folder attack: cp
mkdir -p /tmp/.cache-x
cp -r /etc/pam.d /etc/apt /tmp/.cache-x/

#: data_staged_in_hidden_folder attack: rsync
mkdir -p /dev/shm/.x
rsync -a /etc/apt /etc/pam.d /dev/shm/.x/

#: data_staged_in_hidden_folder harmless: cp into a plain temporary folder
#: keep event.action == "create" AND file.path startswith "/tmp/copy/pam.d/common"
mkdir -p /tmp/copy
cp -r /etc/pam.d /etc/apt /tmp/copy/

#: mailboxes_read attack: grep
for user in alice bob carol dave; do echo "password: x" > /var/mail/$user; done
grep -i password /var/mail/*

#: mailboxes_read attack: python
for user in alice bob carol dave; do echo "password: x" > /var/mail/$user; done
python3 -c 'import glob; [open(name).read() for name in glob.glob("/var/mail/*")]'

#: mailboxes_read harmless: a user reads their own
#: keep file.path startswith "/var/mail/"
echo hello > /var/mail/alice
cat /var/mail/alice
cat /var/mail/alice

#: terminal_recorded attack: script into a hidden file
script -qf -c true /var/tmp/.sess

#: terminal_recorded attack: script from a profile
#: by alice
echo 'exec script -q -c id -O ~/.cache-log' > ~/.profile
bash -lc true

#: terminal_recorded harmless: a person records a session
#: keep event.action == "exec" AND process.name == "script"
script -c true session.log
script -q -c true session.log
