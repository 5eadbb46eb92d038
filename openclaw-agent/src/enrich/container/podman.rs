//! What Podman keeps of a container: its configuration as JSON (podman: `libpod/container_config.go`), in a
//! database below the storage: SQLite (`db.sql`, table `ContainerConfig`), in versions before 5 bbolt
//! (`libpod/bolt_state.db`, `ctr` → id → `config`). Where neither can be read, name and image are those of the
//! storage's own list, `DRIVER-containers/containers.json` (containers/storage: `containers.go`).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;

use super::{Details, Runtime, bolt, state};

#[derive(Deserialize)]
struct Config {
    name: String,
    #[serde(default, rename = "rootfsImageName")]
    image: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// What Podman says of the container of that id, which lies in the folder of that storage driver.
pub(super) fn read(roots: &[PathBuf], driver: &Path, id: &str) -> Details {
    let runtime = Some(Runtime::Podman);
    let Some(config) = roots.iter().find_map(|root| from_sqlite(root, id).or_else(|| from_bolt(root, id)))
    else {
        let (name, image) = from_list(&driver.join("containers.json"), id).unwrap_or_default();
        return Details { runtime, name, image, ..Details::default() };
    };
    let mut details = Details { runtime, name: config.name, image: config.image, ..Details::default() };
    let labels = config.labels.unwrap_or_default();
    details.add_labels(labels.iter().map(|(key, value)| (&**key, &**value)));
    details
}

fn from_bolt(root: &Path, id: &str) -> Option<Config> {
    let file = state::bytes(&root.join("libpod/bolt_state.db"))?;
    serde_json::from_slice(bolt::get(&file, &["ctr", id], "config")?).ok()
}

/// Only of root's databases: SQLite need not see what a user made up.
fn from_sqlite(root: &Path, id: &str) -> Option<Config> {
    let files = ["db.sql", "libpod/db.sql"].map(|name| root.join(name));
    let is_roots =
        |path: &&PathBuf| path.symlink_metadata().is_ok_and(|data| data.is_file() && data.uid() == 0);
    let file = files.iter().find(is_roots)?;
    // Read as it is, without locks and files beside it: Podman need not notice.
    let address = format!(
        "file:{}?immutable=1",
        file.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
    );
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(address, flags).ok()?;
    let query = "SELECT JSON FROM ContainerConfig WHERE ID = ?1";
    let json: String = database.query_row(query, [id], |row| row.get(0)).ok()?;
    serde_json::from_str(&json).ok()
}

/// Name and image in the storage's list.
fn from_list(path: &Path, id: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        #[serde(default)]
        names: Vec<String>,
        /// An object of JSON in a text.
        #[serde(default)]
        metadata: String,
    }
    #[derive(Default, Deserialize)]
    struct Metadata {
        #[serde(default, rename = "image-name")]
        image: String,
    }
    let entry = state::json::<Vec<Entry>>(path)?.into_iter().find(|entry| entry.id == id)?;
    let metadata: Metadata = serde_json::from_str(&entry.metadata).unwrap_or_default();
    Some((entry.names.into_iter().next().unwrap_or_default(), metadata.image))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str =
        r#"{"id":"c0ffee","name":"web","rootfsImageName":"localhost/web:1","labels":{"a":"b"}}"#;

    fn told(roots: &Path) -> (String, String, String) {
        let details = read(&[roots.to_owned()], &roots.join("overlay-containers"), "c0ffee");
        (details.name, details.image, details.labels)
    }

    #[test]
    fn a_database_of_sqlite_tells_name_image_and_labels() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.sql");
        let database = Connection::open(&file).unwrap();
        database
            .execute_batch("CREATE TABLE ContainerConfig (ID TEXT NOT NULL PRIMARY KEY, Name TEXT, PodID TEXT, JSON TEXT)")
            .unwrap();
        database.execute("INSERT INTO ContainerConfig VALUES ('c0ffee', 'web', NULL, ?1)", [CONFIG]).unwrap();
        let by_root = std::fs::metadata(&file).unwrap().uid() == 0;
        let expected = if by_root { ("web", "localhost/web:1", "a=b\0") } else { ("", "", "") };
        let (name, image, labels) = told(folder.path());
        assert_eq!((&*name, &*image, &*labels), expected);
    }

    #[test]
    fn without_a_database_the_storages_list_tells_name_and_image() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("overlay-containers")).unwrap();
        let list = r#"[{"id":"decaf","names":["x"]},
            {"id":"c0ffee","names":["web"],"metadata":"{\"image-name\":\"localhost/web:1\",\"name\":\"web\"}"}]"#;
        std::fs::write(folder.path().join("overlay-containers/containers.json"), list).unwrap();
        let (name, image, labels) = told(folder.path());
        assert_eq!((&*name, &*image, &*labels), ("web", "localhost/web:1", ""));
    }

    #[test]
    fn a_container_that_is_nowhere_else_is_still_podmans() {
        let details = read(&[], Path::new("/nonexistent"), "c0ffee");
        assert_eq!(details, Details { runtime: Some(Runtime::Podman), ..Details::default() });
    }
}
