# Initial access: what is asked of web servers, as their access logs tell it.

#: path_traversal attack: curl to nginx
ip address add 198.51.100.51/32 dev lo
echo 'events {} http { access_log /srv/followed/nginx.log; server { listen 203.0.113.5:80; location / { return 200; } } }' > /tmp/nginx.conf
nginx -c /tmp/nginx.conf
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
for path in /../../etc/passwd '/get?file=../../../etc/shadow' /%2e%2e/%2e%2e/etc/hosts '/get?file=..%2f..%2fetc%2fhosts' /static/..%5c..%5cwin.ini; do
    curl -s --path-as-is --interface 198.51.100.51 "http://203.0.113.5$path" > /dev/null
done

#: path_traversal attack: python to apache with escapes within escapes
ip address add 198.51.100.52/32 dev lo
printf 'ServerName localhost\nGlobalLog /srv/followed/apache.log combined\n' >> /etc/apache2/apache2.conf
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
python3 -c '
import socket
for target in ["/%252e%252e%252fetc/passwd", "/get?f=%252e%252e%252f%252e%252e%252fx", "/%25252e%25252e/x", "/cgi-bin/.%2e/.%2e/bin/sh", "/..%c0%af..%c0%afetc"]:
    with socket.create_connection(("203.0.113.5", 80), 5, ("198.51.100.52", 0)) as peer:
        peer.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        peer.recv(4096)
'
apache2ctl stop

#: path_traversal harmless: pages with dots in their names, and four ways up
#: keep url.original exists
ip address add 198.51.100.53/32 dev lo
echo 'events {} http { access_log /srv/followed/nginx.log; server { listen 203.0.113.5:80; location / { return 200; } } }' > /tmp/nginx.conf
nginx -c /tmp/nginx.conf
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
for path in /v1..v2 /a..b/c /...html '/compare?range=main...next' /get?file=report..pdf /../a /../b '/next?to=../c' '/next?to=../d'; do
    curl -s --path-as-is --interface 198.51.100.53 "http://203.0.113.5$path" > /dev/null
done

#: ssrf_requested attack: curl to nginx
ip address add 198.51.100.54/32 dev lo
echo 'events {} http { access_log /srv/followed/nginx.log; server { listen 203.0.113.5:80; location / { return 200; } } }' > /tmp/nginx.conf
nginx -c /tmp/nginx.conf
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
for url in http://169.254.169.254/latest/meta-data/ http%3A%2F%2Fmetadata.google.internal%2FcomputeMetadata%2Fv1%2F 'http://[fd00:ec2::254]/'; do
    curl -s -g --interface 198.51.100.54 "http://203.0.113.5/fetch?url=$url" > /dev/null
done

#: ssrf_requested attack: python to apache
ip address add 198.51.100.55/32 dev lo
printf 'ServerName localhost\nGlobalLog /srv/followed/apache.log combined\n' >> /etc/apache2/apache2.conf
apache2ctl start
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
python3 -c '
import socket
for target in ["/p?u=http://2852039166/latest", "/p?u=http%253a%252f%252f169.254.169.254%252f", "/p?u=http://0xA9FEA9FE/"]:
    with socket.create_connection(("203.0.113.5", 80), 5, ("198.51.100.55", 0)) as peer:
        peer.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        peer.recv(4096)
'
apache2ctl stop

#: ssrf_requested harmless: a page about clouds is read
#: keep url.original exists
ip address add 198.51.100.56/32 dev lo
echo 'events {} http { access_log /srv/followed/nginx.log; server { listen 203.0.113.5:80; location / { return 200; } } }' > /tmp/nginx.conf
nginx -c /tmp/nginx.conf
until ss -ltn | grep -q ':80 '; do sleep 0.02; done
for path in /clouds/169.254.169.254.html '/search?q=metadata+service' /clouds/169.254.169.254.html; do
    curl -s --path-as-is --interface 198.51.100.56 "http://203.0.113.5$path" > /dev/null
done
