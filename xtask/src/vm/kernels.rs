//! Debian's kernels, fetched by an apt of this workspace's own: the system's sources, lists and status are
//! neither read nor changed, but for the address of its mirror.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::tool;
use crate::console::{self, Step};
use crate::{process, workspace};

/// The word for the newest kernel that Debian has.
pub(crate) const NEWEST: &str = "newest";

/// The addresses of Debian's mirror and of its security archive, where this system's sources name none.
const MIRROR: &str = "OPENCLAW_DEBIAN_MIRROR";
const SECURITY_MIRROR: &str = "OPENCLAW_DEBIAN_SECURITY_MIRROR";

/// What Debian's archive is signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The small kernels for virtual machines.
const FLAVOUR: &str = "cloud-amd64";

/// How long a kernel or an index is taken as the newest.
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// A kernel that was fetched.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What `uname -r` says under it.
    pub(crate) release: String,
    /// The folder with `vmlinuz` and `lib/modules`.
    pub(crate) folder: PathBuf,
}

impl Kernel {
    /// Whether Debian has the BPF LSM among the active ones under it: not under 5.10.
    pub(crate) fn has_bpf_lsm(&self) -> bool {
        !self.is_oldest()
    }

    /// Whether it is the oldest that is supported.
    pub(crate) fn is_oldest(&self) -> bool {
        self.release.starts_with("5.10.")
    }

    fn open(folder: PathBuf) -> Result<Self> {
        let file = folder.join("release");
        let release =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { release: release.trim().to_owned(), folder })
    }

    /// The image that boots.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }
}

/// The kernel of this name: the newest of a series (`5.10`), the newest of all, or a folder.
///
/// # Errors
/// Where it cannot be had.
pub(crate) fn fetch(name: &str) -> Result<Kernel> {
    if name.contains('/') {
        return Kernel::open(PathBuf::from(name));
    }
    let reference = cache().join("newest-of").join(name);
    let known = std::fs::read_to_string(&reference).ok().map(PathBuf::from).filter(|folder| folder.is_dir());
    if let Some(folder) = &known
        && is_fresh(&reference)
    {
        return Kernel::open(folder.clone());
    }
    match look_up(name) {
        Ok(folder) => {
            write(&reference, &folder.to_string_lossy())?;
            Kernel::open(folder)
        }
        Err(error) => match known {
            Some(folder) => {
                console::note(&format!(
                    "kernel {name} could not be looked up, the one at hand is used: {error:#}"
                ));
                Kernel::open(folder)
            }
            None => Err(error),
        },
    }
}

fn cache() -> PathBuf {
    workspace::target().join("vm")
}

fn is_fresh(file: &Path) -> bool {
    file.metadata()
        .and_then(|data| data.modified())
        .is_ok_and(|time| time.elapsed().is_ok_and(|age| age < FRESH))
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The suites that carry a series, best first.
fn suites(name: &str) -> Result<&'static [&'static str]> {
    Ok(match name {
        "5.10" => &["bullseye-security", "bullseye"],
        "6.1" => &["bookworm-security", "bookworm"],
        "6.12" => &["trixie-security", "trixie"],
        NEWEST => &["sid"],
        series if series.starts_with(|c: char| c.is_ascii_digit()) => &["trixie-backports", "sid"],
        other => bail!("`{other}` is no kernel: give a series such as 5.10, `{NEWEST}`, or a folder"),
    })
}

/// Finds the newest kernel of a series that can really be had: an index may list files that the mirror has
/// dropped.
fn look_up(name: &str) -> Result<PathBuf> {
    let mut last = None;
    for suite in suites(name)? {
        let attempt = Apt::new(suite).and_then(|apt| {
            let index = apt.dump()?;
            let series = if name == NEWEST { "" } else { name };
            let images = images(&index, FLAVOUR, series);
            let mut last = anyhow::anyhow!("{suite} has no kernel {name}");
            for image in images.iter().take(3) {
                match apt.download(image) {
                    Ok(folder) => return Ok(folder),
                    Err(error) => last = error,
                }
            }
            Err(last)
        });
        match attempt {
            Ok(folder) => return Ok(folder),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no suite carries kernel {name}")))
}

/// A kernel image that a suite offers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Image {
    /// The package without its `linux-image-`: what `uname -r` will say.
    release: String,
    version: String,
    /// Whether the image is spread over linux-base, linux-binary and linux-modules (since 6.19).
    split: bool,
}

impl Image {
    fn packages(&self) -> Vec<String> {
        let parts: &[&str] = if self.split { &["base", "binary", "modules"] } else { &["image"] };
        parts.iter().map(|part| format!("linux-{part}-{}={}", self.release, self.version)).collect()
    }
}

/// The images of a flavour and a series in what `apt-cache dumpavail` prints, newest first.
fn images(index: &str, flavour: &str, series: &str) -> Vec<Image> {
    let stanzas: Vec<(&str, &str, &str)> = index
        .split("\n\n")
        .filter_map(|stanza| {
            let field = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
            Some((field("Package:")?, field("Version:")?, field("Depends:").unwrap_or_default()))
        })
        .collect();
    let has = |name: &str| stanzas.iter().any(|(package, ..)| *package == name);
    let mut found: Vec<Image> = stanzas
        .iter()
        .filter_map(|(package, version, depends)| {
            let release = package.strip_prefix("linux-image-")?;
            let of_flavour = release.starts_with(|c: char| c.is_ascii_digit())
                && release.strip_suffix(flavour).is_some_and(|rest| rest.ends_with('-'));
            // A package for upgrades is named alike and holds nothing.
            let is_empty = depends.starts_with("linux-image");
            let of_series = series.is_empty() || version.starts_with(&format!("{series}."));
            if !of_flavour || is_empty || !of_series {
                return None;
            }
            let split = depends.contains("linux-binary-");
            // Old builds stay listed with some of their parts gone.
            if split && !(has(&format!("linux-base-{release}")) && has(&format!("linux-modules-{release}"))) {
                return None;
            }
            Some(Image { release: release.to_owned(), version: (*version).to_owned(), split })
        })
        .collect();
    found.sort_by(|a, b| compare_versions(&b.version, &a.version));
    found.dedup();
    found
}

/// The order of Debian's versions (deb-version(7)), for versions without an epoch.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (text_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        let order = text_order(text_a).cmp(text_order(text_b));
        let (number_a, rest_a) =
            rest_a.split_at(rest_a.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (number_b, rest_b) =
            rest_b.split_at(rest_b.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_b.len()));
        let number = |digits: &str| digits.parse::<u64>().unwrap_or(0);
        let order = order.then(number(number_a).cmp(&number(number_b)));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// The weights of the characters between numbers: a tilde before the end, the end before letters, letters
/// before the rest.
fn text_order(text: &str) -> impl Iterator<Item = u32> {
    text.chars()
        .map(|c| match c {
            '~' => 0,
            c if c.is_ascii_alphabetic() => u32::from(c),
            c => u32::from(c) + 256,
        })
        .chain(std::iter::once(1))
}

/// An apt that knows one suite and nothing of this system.
struct Apt {
    suite: String,
    folder: PathBuf,
}

impl Apt {
    /// Prepares it and refreshes its index where that is old.
    fn new(suite: &str) -> Result<Self> {
        let folder = cache().join("apt").join(suite);
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            std::fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        }
        let apt = Self { suite: suite.to_owned(), folder };
        let source = format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror(suite)?);
        let sources = apt.folder.join("sources.list");
        let refreshed = apt.folder.join("refreshed");
        let same = std::fs::read_to_string(&sources).is_ok_and(|text| text == source);
        if !same || !is_fresh(&refreshed) {
            write(&sources, &source)?;
            let step = Step::begin_silent(&format!("fetching the index of Debian's {suite}"));
            process::capture(apt.command("apt-get").args(["--quiet", "update"]))
                .with_context(|| format!("cannot fetch the index of {suite}"))?;
            step.done("");
            write(&refreshed, "")?;
        }
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option =
            |name: &str, value: &dyn std::fmt::Display| [String::from("-o"), format!("{name}={value}")];
        let folder = |part: &str| self.folder.join(part).display().to_string();
        let options = [
            option("Dir::Etc::SourceList", &folder("sources.list")),
            option("Dir::Etc::SourceParts", &"/dev/null"),
            option("Dir::State::Lists", &folder("lists")),
            option("Dir::State::status", &"/dev/null"),
            option("Dir::Cache", &folder("cache")),
            option("APT::Architecture", &"amd64"),
            option("APT::Architectures", &"amd64"),
            option("APT::Sandbox::User", &""),
            option("Acquire::Languages", &"none"),
            option("Acquire::Retries", &3),
            // The index of a suite that was archived is past its date.
            option("Acquire::Check-Valid-Until", &"false"),
        ];
        command.args(options.iter().flatten()).env("LC_ALL", "C");
        command
    }

    fn dump(&self) -> Result<String> {
        process::capture(self.command("apt-cache").arg("dumpavail"))
            .with_context(|| format!("cannot read the index of {}", self.suite))
    }

    /// Downloads an image and lays it out: `vmlinuz`, `release`, `lib/modules/RELEASE`.
    fn download(&self, image: &Image) -> Result<PathBuf> {
        let name = format!("{}_{}", image.release, image.version);
        let folder = cache().join("kernels").join(&name);
        if folder.join("vmlinuz").is_file() {
            return Ok(folder);
        }
        let step = Step::begin_silent(&format!("fetching kernel {} from {}", image.release, self.suite));
        let work = cache().join(format!("fetch-{}", std::process::id()));
        let result = self.lay_out(image, &work).and_then(|()| {
            let kernels = cache().join("kernels");
            std::fs::create_dir_all(&kernels)
                .with_context(|| format!("cannot create {}", kernels.display()))?;
            std::fs::rename(work.join("kernel"), &folder)
                .with_context(|| format!("cannot move the kernel to {}", folder.display()))
        });
        // What is left of the work is of no more use, whether it succeeded or not.
        let _ = std::fs::remove_dir_all(&work);
        step.done(if result.is_ok() { "" } else { "it cannot be had" });
        result.map(|()| folder)
    }

    fn lay_out(&self, image: &Image, work: &Path) -> Result<()> {
        let (unpacked, kernel) = (work.join("unpacked"), work.join("kernel"));
        for folder in [&unpacked, &kernel.join("lib/modules")] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        process::capture(
            self.command("apt-get").args(["--quiet", "download"]).args(image.packages()).current_dir(work),
        )?;
        for entry in work.read_dir().with_context(|| format!("cannot read {}", work.display()))? {
            let file = entry.with_context(|| format!("cannot read {}", work.display()))?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                process::capture(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&unpacked))?;
            }
        }
        // The places differ among releases.
        let release = &image.release;
        let first = |candidates: &[String]| {
            candidates
                .iter()
                .map(|path| unpacked.join(path))
                .find(|path| path.exists())
                .with_context(|| format!("linux-image-{release} holds none of {}", candidates.join(", ")))
        };
        let vmlinuz = first(&[
            format!("boot/vmlinuz-{release}"),
            format!("usr/lib/modules/{release}/vmlinuz"),
            format!("lib/modules/{release}/vmlinuz"),
        ])?;
        let modules = first(&[format!("lib/modules/{release}"), format!("usr/lib/modules/{release}")])?;
        std::fs::copy(&vmlinuz, kernel.join("vmlinuz")).context("cannot copy the kernel's image")?;
        std::fs::rename(&modules, kernel.join("lib/modules").join(release))
            .context("cannot move the kernel's modules")?;
        // The package leaves this to its installation.
        process::capture(Command::new(tool("depmod", "kmod")?).arg("-b").arg(&kernel).arg(release))?;
        write(&kernel.join("release"), release)
    }
}

/// The address of the mirror that has a suite: this system's own, unless the environment names one.
fn mirror(suite: &str) -> Result<String> {
    let security = suite.ends_with("-security");
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let listing = process::capture(Command::new("apt-get").args([
        "indextargets",
        "--format",
        // apt's own notation, whatever format the sources are in.
        "$(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
    ]))
    .unwrap_or_default();
    let (main, security_archive) = mirrors(&listing);
    let main = set(MIRROR).or(main);
    let address = if security {
        set(SECURITY_MIRROR)
            .or(security_archive)
            .or_else(|| main.map(|main| format!("{}-security", main.trim_end_matches('/'))))
    } else {
        main
    };
    address.with_context(|| {
        format!("this system's apt sources name no Debian mirror, which has the kernels: set {MIRROR} to its address")
    })
}

/// Debian's mirror and its security archive among lines of `ADDRESS RELEASE`.
fn mirrors(listing: &str) -> (Option<String>, Option<String>) {
    let sources = || listing.lines().filter_map(|line| line.split_once(' '));
    let is_debian = |address: &str| {
        let address = address.trim_end_matches('/');
        address.ends_with("/debian") || address.contains("/debian/")
    };
    let main = sources()
        .find(|(address, release)| is_debian(address) && !release.trim().ends_with("-security"))
        .map(|(address, _)| address.to_owned());
    let security = sources()
        .find(|(address, release)| release.trim().ends_with("-security") && address.contains("debian"))
        .map(|(address, _)| address.to_owned());
    (main, security)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "Package: linux-image-6.12.9-cloud-amd64\nVersion: 6.12.9-1\nDepends: kmod, linux-base\n\n\
        Package: linux-image-6.12.43+deb13-cloud-amd64\nVersion: 6.12.43-1\nDepends: kmod\n\n\
        Package: linux-image-cloud-amd64\nVersion: 6.12.43-1\nDepends: linux-image-6.12.43+deb13-cloud-amd64\n\n\
        Package: linux-image-6.12-cloud-amd64\nVersion: 6.12.43-1\nDepends: linux-image-6.12.43+deb13-cloud-amd64\n\n\
        Package: linux-image-6.12.43+deb13-amd64\nVersion: 6.12.43-1\nDepends: kmod\n\n\
        Package: linux-image-6.1.0-cloud-amd64\nVersion: 6.1.150-1\n";

    #[test]
    fn the_newest_image_of_flavour_and_series_comes_first_and_empty_packages_are_left_out() {
        let found = images(INDEX, "cloud-amd64", "6.12");
        let releases: Vec<_> = found.iter().map(|image| image.release.as_str()).collect();
        assert_eq!(releases, ["6.12.43+deb13-cloud-amd64", "6.12.9-cloud-amd64"]);
        assert_eq!(found[0].packages(), ["linux-image-6.12.43+deb13-cloud-amd64=6.12.43-1"]);
        assert_eq!(images(INDEX, "cloud-amd64", "6.1").len(), 1);
    }

    #[test]
    fn a_split_kernel_is_offered_only_with_all_its_parts() {
        let image = "Package: linux-image-7.0-cloud-amd64\nVersion: 7.0-1\nDepends: linux-binary-7.0-cloud-amd64 (= 7.0-1)\n\n";
        let base = "Package: linux-base-7.0-cloud-amd64\nVersion: 7.0-1\n\n";
        let modules = "Package: linux-modules-7.0-cloud-amd64\nVersion: 7.0-1\n";
        assert_eq!(images(&format!("{image}{base}"), "cloud-amd64", ""), []);
        let found = images(&format!("{image}{base}{modules}"), "cloud-amd64", "");
        assert_eq!(
            found[0].packages(),
            [
                "linux-base-7.0-cloud-amd64=7.0-1",
                "linux-binary-7.0-cloud-amd64=7.0-1",
                "linux-modules-7.0-cloud-amd64=7.0-1"
            ]
        );
    }

    #[test]
    fn versions_are_ordered_as_debian_orders_them() {
        use Ordering::{Equal, Greater, Less};
        assert_eq!(compare_versions("6.12.9-1", "6.12.43-1"), Less);
        assert_eq!(compare_versions("6.12.43-1", "6.12.43-1"), Equal);
        assert_eq!(compare_versions("6.12.43-1~bpo12+1", "6.12.43-1"), Less);
        assert_eq!(compare_versions("6.12.43-1+deb13u1", "6.12.43-1"), Greater);
        assert_eq!(compare_versions("6.19~rc4-1", "6.19-1"), Less);
    }

    #[test]
    fn the_mirrors_are_told_apart_from_third_parties_sources() {
        let listing = "https://packages.example/apt stable\nhttp://mirror.example/debian/ bookworm\n\
                       http://mirror.example/debian/ bookworm-updates\n\
                       http://mirror.example/debian-security/ bookworm-security\n";
        let (main, security) = mirrors(listing);
        assert_eq!(main.as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(security.as_deref(), Some("http://mirror.example/debian-security/"));
        assert_eq!(mirrors("https://packages.example/apt stable\n"), (None, None));
    }
}
