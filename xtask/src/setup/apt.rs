//! What Debian's package manager is asked for.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::console::Step;
use crate::process;

/// Packages with a service that Debian starts, and enables, as it installs them. Tests run these programs themselves.
const SERVICES: [(&str, &str); 2] =
    [("prometheus-alertmanager", "prometheus-alertmanager.service"), ("rsyslog", "rsyslog.service")];

/// Runs apt-get while no service may be started (invoke-rc.d(8)), unless the machine has a policy of its own.
const WITHOUT_SERVICES: &str = r#"
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit
fi
apt-get "$@"
"#;

/// Installs the Debian packages that are missing. A service that comes with one is neither started nor enabled.
///
/// # Errors
/// Where neither root nor sudo is there, or apt-get fails.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !process::is_root() && process::find("sudo").is_none() {
        bail!(
            "packages are missing, and installing them needs root. As root, type this and try again:\n\n    \
             apt-get update && apt-get install --no-install-recommends {}\n",
            missing.join(" ")
        );
    }
    let step = Step::begin_silent(&format!("installing {}", missing.join(" ")));
    // An index that cannot be refreshed in part (a third party's source) may still do.
    let update = process::capture(apt_get()?.args(["--quiet", "update"]));
    let services = SERVICES.iter().filter(|(package, _)| missing.contains(package)).map(|(_, unit)| *unit);
    let services: Vec<_> = services.collect();
    let mut install = if services.is_empty() { apt_get()? } else { apt_get_without_services()? };
    process::capture(install.args(["--quiet", "install", "--yes", "--no-install-recommends"]).args(&missing))
        .with_context(|| match &update {
            Ok(_) => "cannot install packages".to_owned(),
            Err(error) => format!("cannot install packages, and before that: {error}"),
        })?;
    if !services.is_empty() && process::find("systemctl").is_some() {
        process::capture(process::as_root("systemctl", &[])?.arg("disable").args(services))?;
    }
    step.done("");
    Ok(())
}

/// Fetches apt's index, which a fresh machine or image may lack.
///
/// # Errors
/// Where neither root nor sudo is there, or apt-get fails.
pub(crate) fn update_index() -> Result<()> {
    let step = Step::begin_silent("fetching apt's index");
    process::capture(apt_get()?.args(["--quiet", "update"]))?;
    step.done("");
    Ok(())
}

/// Whether apt knows a package of this name that can be installed.
pub(crate) fn is_available(package: &str) -> bool {
    process::capture(Command::new("apt-cache").args(["policy", package]))
        .is_ok_and(|text| candidate(&text).is_some())
}

/// The version that `apt-cache policy` would install.
fn candidate(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .map(str::trim)
        .filter(|version| *version != "(none)")
}

fn apt_get() -> Result<Command> {
    Ok(with_options(as_root("apt-get")?))
}

fn apt_get_without_services() -> Result<Command> {
    let mut command = as_root("sh")?;
    command.args(["-c", WITHOUT_SERVICES, "apt-get"]);
    Ok(with_options(command))
}

fn as_root(program: &str) -> Result<Command> {
    process::as_root(program, &[("DEBIAN_FRONTEND", "noninteractive".as_ref())])
}

fn with_options(mut command: Command) -> Command {
    command.args(["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    // dpkg-query exits with 1 where one of them is unknown, and still tells of the others.
    let output = process::output(
        Command::new("dpkg-query")
            .env("LC_ALL", "C")
            .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
            .args(packages),
    )?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(not_installed(packages, &text))
}

/// Those of `packages` that the lines `NAME STATUS` do not call installed.
fn not_installed<'a>(packages: &[&'a str], listing: &str) -> Vec<&'a str> {
    let installed: Vec<&str> = listing.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    packages.iter().copied().filter(|package| !installed.contains(package)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_was_removed_or_is_unknown_counts_as_missing() {
        let listing = "gcc installed\nsocat config-files\nkmod not-installed\n";
        assert_eq!(
            not_installed(&["gcc", "socat", "kmod", "xz-utils"], listing),
            ["socat", "kmod", "xz-utils"]
        );
    }

    #[test]
    fn a_candidate_is_read_from_the_policy_and_none_is_none() {
        let policy =
            "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(candidate(policy), Some("1.96.0+dfsg1-1~deb12u2"));
        assert_eq!(candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }
}
