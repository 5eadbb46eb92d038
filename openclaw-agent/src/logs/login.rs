//! Logins, as sshd and PAM tell of them.
//!
//! The messages of sshd are those of OpenSSH's `auth.c` (`auth_log`), `auth-pam.c` and `packet.c`; those of PAM are what
//! `pam_unix` and its kin write. Users and clients choose part of what stands in them: the name of an account that exists
//! has no spaces, so what follows it is sshd's own; any other name may hold anything, so that the message is read from its
//! end, and where clients choose that too, the address is not known.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::entry::Login;

/// Connections that are remembered at most.
const MAX_CONNECTIONS: usize = 256;

/// Services whose sessions are no logins of anybody.
const NO_LOGINS: [&str; 6] = ["cron", "crond", "atd", "systemd-user", "runuser", "runuser-l"];

/// Times that a message can say it was repeated: what says more is not believed.
const MAX_TIMES: u32 = 100;

/// PAM's modules that ask a directory of users, after `pam_unix` has failed for whoever is in there alone.
const DIRECTORIES: [&str; 5] = ["pam_sss", "pam_winbind", "pam_ldap", "pam_krb5", "pam_systemd_home"];

/// Services that are known to ask a directory, at most.
const MAX_SERVICES: usize = 64;

/// Reads the messages of one log.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Connections to sshd of which a login was told, the oldest first: their end tells nothing more. The port is 0 where the
    /// message does not say it.
    told: VecDeque<SocketAddr>,
    /// Services that ask a directory of users.
    directed: BTreeSet<String>,
}

impl Logins {
    /// Goes on with what was known.
    pub(super) fn resumed(told: Vec<SocketAddr>) -> Logins {
        Logins { told: told.into(), directed: BTreeSet::new() }
    }

    /// What is known, to go on with later.
    pub(super) fn connections(&self) -> Vec<SocketAddr> {
        self.told.iter().copied().collect()
    }

    /// The login that a line of syslog tells of, and how often it happened.
    pub(super) fn parse_repeated(&mut self, program: &str, message: &str) -> Option<(Login, u32)> {
        match repeated(message) {
            Some((times, message)) => {
                let (login, once) = self.parse(program, message)?;
                Some((login, times.saturating_mul(once).min(MAX_TIMES)))
            }
            None => self.parse(program, message),
        }
    }

    /// The login that a message of this program tells of, and how often it happened.
    pub(super) fn parse(&mut self, program: &str, message: &str) -> Option<(Login, u32)> {
        if let Some(login) = self.pam(program, message) {
            return login;
        }
        // Since OpenSSH 9.8 a session is a program of its own, since 9.9 what asks for the password too.
        if !matches!(program, "sshd" | "sshd-session" | "sshd-auth") {
            return None;
        }
        if let Some(login) = answered(message).or_else(|| asked_by_pam(message)) {
            self.tell(&login);
            return Some((login, 1));
        }
        let login = given_up(message)?;
        (!self.forget(&login)).then_some((login, 1))
    }

    /// Keeps in mind that a login of this connection was told.
    fn tell(&mut self, login: &Login) {
        let Some(client) = login.client else { return };
        let connection = SocketAddr::new(client, login.port.unwrap_or(0));
        if self.told.contains(&connection) {
            return;
        }
        if self.told.len() == MAX_CONNECTIONS {
            self.told.pop_front();
        }
        self.told.push_back(connection);
    }

    /// Forgets a connection that has ended. Whether a login of it had been told.
    fn forget(&mut self, login: &Login) -> bool {
        let Some(client) = login.client else { return false };
        let port = login.port.unwrap_or(0);
        let known = [port, 0].map(|port| SocketAddr::new(client, port));
        let at = known.iter().find_map(|known| self.told.iter().position(|told| told == known));
        at.and_then(|at| self.told.remove(at)).is_some()
    }

    /// What PAM's modules say of other services than sshd, which tells of itself; none where it is no message of theirs.
    fn pam(&mut self, program: &str, message: &str) -> Option<Option<(Login, u32)>> {
        if let Some(rest) = message.strip_prefix("PAM ") {
            return Some(more_failures(program, rest));
        }
        // `pam_unix(su:auth): …`
        let (head, message) = message.split_once("): ")?;
        let (module, context) = head.split_once('(')?;
        if !module.starts_with("pam_") || module.contains(' ') {
            return None;
        }
        let (service, step) = context.split_once(':')?;
        if service == "sshd" || NO_LOGINS.contains(&service) {
            return Some(None);
        }
        let asks_directory = DIRECTORIES.contains(&module);
        if asks_directory && step == "auth" && self.directed.len() < MAX_SERVICES {
            self.directed.insert(service.to_owned());
        }
        // Where a directory is asked, that alone knows.
        if step == "auth" && module == "pam_unix" && self.directed.contains(service) {
            return Some(None);
        }
        Some(of_service(service, step, message).map(|login| (login, 1)))
    }
}

/// `message repeated 2 times: [ … ]`, as rsyslog has it.
fn repeated(message: &str) -> Option<(u32, &str)> {
    let rest = message.strip_prefix("message repeated ")?;
    let (times, rest) = rest.split_once(" times: [")?;
    let times = times.parse::<u32>().ok()?.min(MAX_TIMES);
    Some((times, rest.strip_suffix(']')?.trim_start()))
}

/// `Failed password for invalid user bob from 192.0.2.7 port 4711 ssh2`, `Accepted publickey for …: ED25519 SHA256:…`
fn answered(message: &str) -> Option<Login> {
    let (success, rest) = match message.split_once(' ')? {
        ("Accepted", rest) => (true, rest),
        ("Failed", rest) => (false, rest),
        _ => return None,
    };
    let (method, rest) = rest.split_once(" for ")?;
    // Every client asks what there is by trying nothing, and offers all of its keys: that none fits, the connection's end
    // tells. PAM's questions are told by PAM.
    let is_told_otherwise =
        method == "none" || method == "publickey" || method.starts_with("keyboard-interactive");
    if !success && is_told_otherwise {
        return None;
    }
    let (user, from) = match rest.strip_prefix("invalid user ") {
        Some(rest) => rest.rsplit_once(" from ")?,
        None => rest.split_once(" from ")?,
    };
    let (client, port, rest) = endpoint(from)?;
    // What is signed by anybody may stand in a certificate, behind this.
    let is_whole = rest == "ssh2" || (success && rest.starts_with("ssh2: "));
    is_whole.then(|| Login { success, method: Some(method.to_owned()), ..sshd(user, client, Some(port)) })
}

/// `error: PAM: Authentication failure for illegal user bob from 192.0.2.7`
fn asked_by_pam(message: &str) -> Option<Login> {
    let (_, rest) = message.strip_prefix("error: PAM: ")?.split_once(" for ")?;
    let (user, client) = rest.rsplit_once(" from ")?;
    let user = user.strip_prefix("illegal user ").unwrap_or(user);
    let login = sshd(user, address(client), None);
    Some(Login { method: Some("keyboard-interactive".to_owned()), ..login })
}

/// `Connection closed by authenticating user root 192.0.2.7 port 4711 [preauth]`: whoever has no key, where nothing else
/// is asked for, leaves no other trace.
fn given_up(message: &str) -> Option<Login> {
    let rest = ["Connection closed by ", "Connection reset by ", "Disconnected from ", "Disconnecting "]
        .iter()
        .find_map(|begin| message.strip_prefix(begin))?;
    let rest = rest.strip_suffix(" [preauth]").unwrap_or(rest);
    if let Some(rest) = rest.strip_prefix("authenticating user ") {
        let (user, rest) = rest.split_once(' ')?;
        let (client, rest) = rest.split_once(" port ")?;
        let port = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        return Some(sshd(user, address(client), Some(port.parse().ok()?)));
    }
    let rest = rest.strip_prefix("invalid user ")?;
    let whole = match message.starts_with("Disconnecting ") {
        // In another reason clients may have written whatever they like.
        true => rest.strip_suffix(": Too many authentication failures"),
        false => Some(rest),
    };
    let from_end = |rest: &str| {
        let (rest, port) = rest.rsplit_once(" port ")?;
        let (user, client) = rest.rsplit_once(' ')?;
        Some(sshd(user, address(client), Some(port.parse().ok()?)))
    };
    Some(whole.and_then(from_end).unwrap_or_else(|| sshd("", None, None)))
}

/// What sshd says of a login.
fn sshd(user: &str, client: Option<IpAddr>, port: Option<u16>) -> Login {
    Login { service: Some("sshd".to_owned()), user: text(user), client, port, ..Login::default() }
}

/// `192.0.2.7 port 4711 …`; what stands in the place of an address that is unknown is none.
fn endpoint(text: &str) -> Option<(Option<IpAddr>, u16, &str)> {
    let (client, rest) = text.split_once(" port ")?;
    let (port, rest) = rest.split_once(' ')?;
    Some((address(client), port.parse().ok()?, rest))
}

fn address(text: &str) -> Option<IpAddr> {
    // Link-local addresses name their interface.
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// `PAM 2 more authentication failures; logname= … rhost=192.0.2.7  user=root`, without the service's name: of sshd, by its
/// terminal; else the program's. What follows `PAM ` is given.
fn more_failures(program: &str, rest: &str) -> Option<(Login, u32)> {
    let (times, rest) = rest.split_once(" more authentication failure")?;
    let (_, facts) = rest.split_once("; ")?;
    let is_sshd = fact(facts, "tty") == Some("ssh");
    let times = times.parse::<u32>().ok()?.min(MAX_TIMES);
    (!is_sshd).then(|| (failure(program, facts), times))
}

/// What a module says of a service.
fn of_service(service: &str, step: &str, message: &str) -> Option<Login> {
    if let Some(facts) = message.strip_prefix("authentication failure; ") {
        return (step == "auth").then(|| failure(service, facts));
    }
    let rest = message.strip_prefix("session opened for user ")?;
    // `root(uid=0) by alice(uid=1000)`; older ones name no number of the first.
    let user = rest.split(" by ").next()?;
    let user = user.split_once('(').map_or(user, |(user, _)| user);
    Some(Login { success: true, service: text(service), user: text(user), ..Login::default() })
}

/// What a failure says of itself: `logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root`
fn failure(service: &str, facts: &str) -> Login {
    Login {
        service: text(service),
        user: fact(facts, "user").and_then(text),
        method: Some("password".to_owned()),
        client: fact(facts, "rhost").and_then(address),
        ..Login::default()
    }
}

/// The value of the only fact of that name: where there are more, a client has put one into a name that it chose.
fn fact<'a>(facts: &'a str, name: &str) -> Option<&'a str> {
    let mut found = facts.split(' ').filter_map(|fact| fact.strip_prefix(name)?.strip_prefix('='));
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(login: &Login) -> String {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let client = login.client.map_or("-".to_owned(), |client| client.to_string());
        let outcome = if login.success { "in" } else { "failed" };
        format!(
            "{outcome} {} {} {} {client} {}",
            word(&login.service),
            word(&login.user),
            word(&login.method),
            login.port.unwrap_or(0)
        )
    }

    fn one(program: &str, message: &str) -> String {
        match Logins::default().parse_repeated(program, message) {
            Some((login, 1)) => told(&login),
            Some((login, times)) => format!("{} {times} times", told(&login)),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn what_sshd_says_is_read() {
        for (message, expected) in [
            (
                "Failed password for root from 192.0.2.7 port 4711 ssh2",
                "failed sshd root password 192.0.2.7 4711",
            ),
            (
                "Failed password for invalid user bob from 2001:db8::1 port 4711 ssh2",
                "failed sshd bob password 2001:db8::1 4711",
            ),
            ("Failed password for root from fe80::1%eth0 port 1 ssh2", "failed sshd root password fe80::1 1"),
            (
                "Failed password for root from ::ffff:192.0.2.7 port 1 ssh2",
                "failed sshd root password 192.0.2.7 1",
            ),
            (
                "Accepted publickey for alice from 192.0.2.7 port 4711 ssh2: ED25519 SHA256:abc",
                "in sshd alice publickey 192.0.2.7 4711",
            ),
            (
                "Accepted publickey for alice from 192.0.2.7 port 1 ssh2: RSA-CERT SHA256:x ID a from 8.8.8.8 port 22 ssh2 (serial 0) CA RSA",
                "in sshd alice publickey 192.0.2.7 1",
            ),
            (
                "Accepted keyboard-interactive/pam for alice from 192.0.2.7 port 1 ssh2",
                "in sshd alice keyboard-interactive/pam 192.0.2.7 1",
            ),
            ("Failed password for root from UNKNOWN port 65535 ssh2", "failed sshd root password - 65535"),
            (
                "error: PAM: Authentication failure for root from 192.0.2.7",
                "failed sshd root keyboard-interactive 192.0.2.7 0",
            ),
            (
                "error: PAM: User not known to the underlying authentication module for illegal user bob from 192.0.2.7",
                "failed sshd bob keyboard-interactive 192.0.2.7 0",
            ),
            (
                "Connection closed by authenticating user root 192.0.2.7 port 1 [preauth]",
                "failed sshd root - 192.0.2.7 1",
            ),
            (
                "Disconnected from invalid user a b 192.0.2.7 port 1 [preauth]",
                "failed sshd a b - 192.0.2.7 1",
            ),
            (
                "Disconnecting authenticating user root 192.0.2.7 port 1: Too many authentication failures [preauth]",
                "failed sshd root - 192.0.2.7 1",
            ),
            (
                "Disconnecting authenticating user root 192.0.2.7 port 1: Change of username or service not allowed: (root,ssh-connection) -> (x 8.8.8.8 port 9,y) [preauth]",
                "failed sshd root - 192.0.2.7 1",
            ),
            (
                "Disconnecting invalid user x 192.0.2.7 port 1: Change of username or service not allowed: (x,y) -> (z 8.8.8.8 port 9,y) [preauth]",
                "failed sshd - - - 0",
            ),
            (
                "Disconnecting invalid user x 192.0.2.7 port 1: Change of username or service not allowed: (x,y) -> (z 8.8.8.8 port 9 [preauth]",
                "failed sshd - - - 0",
            ),
            ("Failed none for invalid user bob from 192.0.2.7 port 1 ssh2", "nothing"),
            ("Failed publickey for root from 192.0.2.7 port 1 ssh2: RSA SHA256:abc", "nothing"),
            (
                "Failed publickey for root from 192.0.2.7 port 1 ssh2: RSA-CERT SHA256:x ID a from 8.8.8.8 port 22 ssh2",
                "nothing",
            ),
            ("Failed keyboard-interactive/pam for root from 192.0.2.7 port 1 ssh2", "nothing"),
            ("Invalid user bob from 192.0.2.7 port 1", "nothing"),
            ("Connection closed by 192.0.2.7 port 1 [preauth]", "nothing"),
            ("Received disconnect from 192.0.2.7 port 1:11: Bye Bye [preauth]", "nothing"),
            ("Disconnected from user root 192.0.2.7 port 1", "nothing"),
            ("Server listening on 0.0.0.0 port 22.", "nothing"),
            (
                "message repeated 3 times: [ Failed password for root from 192.0.2.7 port 1 ssh2]",
                "failed sshd root password 192.0.2.7 1 3 times",
            ),
            (
                "message repeated 9999 times: [ Failed password for root from 192.0.2.7 port 1 ssh2]",
                "failed sshd root password 192.0.2.7 1 100 times",
            ),
        ] {
            assert_eq!(one("sshd", message), expected, "{message}");
        }
        assert_eq!(one("logger", "Failed password for root from 192.0.2.7 port 1 ssh2"), "nothing");
        assert_eq!(
            one("sshd-session", "Failed password for r from ::1 port 1 ssh2"),
            "failed sshd r password ::1 1"
        );
    }

    #[test]
    fn where_a_directory_is_asked_what_the_host_itself_says_is_no_failure() {
        let mut logins = Logins::default();
        let mut told = |message: &str| logins.parse("dovecot", message).is_some();
        let unix = "pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=bob rhost=192.0.2.7  user=bob";
        assert!(told(unix));
        assert!(!told(
            "pam_sss(dovecot:auth): authentication success; logname= uid=0 euid=0 tty=dovecot ruser=bob rhost=192.0.2.7 user=bob"
        ));
        assert!(!told(unix), "what came before is known by now");
        assert!(told(&unix.replace("pam_unix", "pam_sss")));
    }

    #[test]
    fn what_pam_says_of_others_is_read_and_of_sshd_is_not() {
        for (program, message, expected) in [
            (
                "su",
                "pam_unix(su:auth): authentication failure; logname= uid=1000 euid=0 tty=/dev/pts/0 ruser=alice rhost=  user=root",
                "failed su root password - 0",
            ),
            (
                "vsftpd",
                "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.7  user=bob",
                "failed vsftpd bob password 192.0.2.7 0",
            ),
            (
                "sshd",
                "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root",
                "nothing",
            ),
            (
                "sshd",
                "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root",
                "nothing",
            ),
            (
                "login",
                "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=/dev/tty1 ruser= rhost=  user=root",
                "failed login root password - 0 2 times",
            ),
            (
                "su",
                "pam_unix(su:session): session opened for user root(uid=0) by alice(uid=1000)",
                "in su root - - 0",
            ),
            ("su", "pam_unix(su:session): session closed for user root", "nothing"),
            ("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", "nothing"),
            ("sshd", "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)", "nothing"),
        ] {
            assert_eq!(one(program, message), expected, "{message}");
        }
    }

    #[test]
    fn a_user_cannot_name_another_address_than_its_own() {
        for name in
            ["root from 8.8.8.8 port 22 ssh2", "a from 8.8.8.8 port 22 ssh2: x", " from 8.8.8.8 port 1 "]
        {
            let message = format!("Failed password for invalid user {name} from 192.0.2.7 port 9 ssh2");
            assert!(one("sshd", &message).ends_with(" 192.0.2.7 9"), "{message}");
            let message = format!("Connection closed by invalid user {name} 192.0.2.7 port 9 [preauth]");
            assert!(one("sshd", &message).ends_with(" 192.0.2.7 9"), "{message}");
        }
        for (ruser, user) in [("x rhost=8.8.8.8 ", "bob"), ("x", "bob rhost=8.8.8.8")] {
            let facts = format!("logname= uid=0 euid=0 tty=ftp ruser={ruser} rhost=192.0.2.7  user={user}");
            assert_eq!(failure("ftp", &facts).client, None, "nobody can say which is true");
        }
    }

    #[test]
    fn a_connection_of_which_a_failure_was_told_is_not_told_again_when_it_ends() {
        let mut logins = Logins::default();
        let failed = |port| format!("Failed password for root from 192.0.2.7 port {port} ssh2");
        let closed =
            |port| format!("Connection closed by authenticating user root 192.0.2.7 port {port} [preauth]");
        let mut count = |message: String| logins.parse("sshd", &message).is_some();
        assert!(count(failed(1)) && count(failed(1)));
        assert!(!count(closed(1)), "both of its failures were told");
        assert!(count(closed(1)), "another connection from the same port");
        assert!(count("error: PAM: Authentication failure for root from 192.0.2.7".to_owned()));
        assert!(!count(closed(2)) && count(closed(3)));
        for port in 100..500 {
            count(failed(port));
        }
        assert_eq!(logins.connections().len(), MAX_CONNECTIONS);
        assert!(logins.parse("sshd", &closed(499)).is_none());
        logins.parse("sshd", &failed(499));
        let mut resumed = Logins::resumed(logins.connections());
        assert!(resumed.parse("sshd", &closed(499)).is_none());
    }

    proptest! {
        #[test]
        fn no_message_makes_reading_panic(
            message in "(Failed |Accepted |password| for | from | port |ssh2|PAM |[0-9]{1,12}|: |\\(|\\)|.){0,20}",
        ) {
            let _ = Logins::default().parse("sshd", &message);
        }
    }
}
