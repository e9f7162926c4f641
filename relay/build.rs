//! With feature `embed`: lists the files of the built page (environment variable `CHORUS_PAGE_DIR`) for the binary.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=CHORUS_PAGE_DIR");
    let mut files = Vec::new();
    if env::var_os("CARGO_FEATURE_EMBED").is_some() {
        let dir = env::var_os("CHORUS_PAGE_DIR")
            .ok_or("feature `embed` needs CHORUS_PAGE_DIR, the built page's directory")?;
        let dir =
            fs::canonicalize(&dir).map_err(|error| format!("CHORUS_PAGE_DIR {dir:?}: {error}"))?;
        println!("cargo::rerun-if-changed={}", dir.display());
        list(&dir, &dir, &mut files)
            .map_err(|error| format!("CHORUS_PAGE_DIR {dir:?}: {error}"))?;
        if !files.iter().any(|(name, _)| name == "index.html") {
            return Err(format!("CHORUS_PAGE_DIR {dir:?} has no index.html"));
        }
        files.sort();
    }
    let rows: String = files
        .iter()
        .map(|(name, path)| format!("    ({name:?}, include_bytes!({path:?})),\n"))
        .collect();
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(
        Path::new(&out).join("page_files.rs"),
        format!("&[\n{rows}]\n"),
    )
    .map_err(|error| error.to_string())
}

fn list(root: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().replace('\\', "/"), path));
        }
    }
    Ok(())
}
