//! What can be told of the owner from the environment of the process: names that are not to leave.

use std::{collections::BTreeMap, env, fs, path::Path};

/// The user's name, the host's and the home directory's, by kind, where they can be told and tell somebody.
pub(crate) fn identifiers() -> BTreeMap<String, String> {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(variable);
    let host = fs::read_to_string(HOST_FILE).ok();
    let host = host.or_else(|| ["HOSTNAME", "COMPUTERNAME"].iter().find_map(variable));
    let home = ["HOME", "USERPROFILE"].iter().find_map(variable);
    let home = home.and_then(|home| {
        let name = Path::new(&home).file_name()?;
        Some(name.to_string_lossy().into_owned())
    });
    telling([("user", user), ("host", host), ("home", home)])
}

fn variable(name: &&str) -> Option<String> {
    env::var(name).ok()
}

/// Those that tell somebody, each name once.
fn telling<const N: usize>(names: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    for (kind, name) in names {
        let Some(name) = name.map(|name| name.trim().to_owned()) else {
            continue;
        };
        let is_common = COMMON
            .iter()
            .any(|common| name.eq_ignore_ascii_case(common));
        if !name.is_empty() && !is_common && !left.values().any(|known| *known == name) {
            left.insert(kind.into(), name);
        }
    }
    left
}

/// Where Linux says what the host is called.
const HOST_FILE: &str = "/proc/sys/kernel/hostname";
/// Names of accounts and hosts that many have: they tell nobody, and some are words that texts are full of.
const COMMON: [&str; 30] = [
    "root",
    "user",
    "users",
    "admin",
    "administrator",
    "guest",
    "home",
    "nobody",
    "test",
    "tester",
    "runner",
    "build",
    "builder",
    "node",
    "ubuntu",
    "debian",
    "fedora",
    "alpine",
    "arch",
    "linux",
    "localhost",
    "host",
    "server",
    "desktop",
    "laptop",
    "computer",
    "docker",
    "container",
    "vagrant",
    "pi",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_everybody_has_are_left_out_and_equal_ones_told_once() {
        let name = |name: &str| Some(name.to_owned());
        let left = telling([
            ("user", name("lovelace")),
            ("host", name("Localhost\n")),
            ("home", name("lovelace")),
            ("more", name(" ")),
            ("none", None),
        ]);
        assert_eq!(left, [("user".into(), "lovelace".into())].into());
    }
}
