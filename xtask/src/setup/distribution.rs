//! Which distribution this is, and what it calls things.

/// A family of distributions that share a package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// Debian, Ubuntu and what descends from them.
    Debian,
    /// Fedora, Red Hat Enterprise Linux and its rebuilds.
    Fedora,
    /// Arch Linux.
    Arch,
    /// openSUSE and SUSE Linux Enterprise.
    Suse,
    /// Alpine Linux.
    Alpine,
    /// None of these.
    Unknown,
}

impl Distribution {
    /// The distribution of this machine.
    pub(crate) fn of_this_machine() -> Self {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        Self::from_os_release(&text)
    }

    /// Reads the `ID` and `ID_LIKE` of an os-release file (os-release(5)).
    pub(crate) fn from_os_release(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.trim().split_once('='))
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_ascii_lowercase())
                .next_back()
                .unwrap_or_default()
        };
        // The own name first: a derivative is what it says of itself before it is like another.
        let (id, like) = (value("ID"), value("ID_LIKE"));
        std::iter::once(id.as_str())
            .chain(like.split_whitespace())
            .find_map(Self::from_id)
            .unwrap_or(Self::Unknown)
    }

    fn from_id(id: &str) -> Option<Self> {
        Some(match id {
            "debian" | "ubuntu" => Self::Debian,
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => Self::Fedora,
            "arch" | "archlinux" => Self::Arch,
            "alpine" => Self::Alpine,
            "suse" | "sles" => Self::Suse,
            other if other.starts_with("opensuse") => Self::Suse,
            _ => return None,
        })
    }

    /// The words that install packages, as root.
    pub(crate) fn install_command(self) -> Option<&'static str> {
        match self {
            Self::Debian => Some("apt-get install --no-install-recommends"),
            Self::Fedora => Some("dnf install"),
            Self::Arch => Some("pacman -S --needed"),
            Self::Suse => Some("zypper install"),
            Self::Alpine => Some("apk add"),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Distribution::{self, *};

    #[test]
    fn each_family_is_known_by_its_id() {
        let of = Distribution::from_os_release;
        assert_eq!(of("NAME=x\nID=debian\nVERSION_ID=\"12\"\n"), Debian);
        assert_eq!(of("ID=ubuntu\nID_LIKE=debian\n"), Debian);
        assert_eq!(of("ID=\"rhel\"\nID_LIKE=\"fedora\"\n"), Fedora);
        assert_eq!(of("ID=arch\n"), Arch);
        assert_eq!(of("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n"), Suse);
        assert_eq!(of("ID=alpine\n"), Alpine);
    }

    #[test]
    fn a_derivative_is_taken_for_what_it_is_like() {
        let of = Distribution::from_os_release;
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Debian);
        assert_eq!(of("ID=endeavouros\nID_LIKE='arch'\n"), Arch);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert_eq!(Distribution::from_os_release("ID=plan9\n"), Unknown);
        assert_eq!(Distribution::from_os_release(""), Unknown);
    }
}
