//! `chorus-relay get`: a packet's content, verified, as a file.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    pin::pin,
    time::Duration,
};

use chorus_core::{
    digest::ContentId,
    net::{self, Handle},
    node::Event,
};
use futures::StreamExt;
use tokio::time::Instant;

use crate::{
    cli::GetArgs,
    cmd::{Failure, client},
};

/// Fetches the content and writes it; a file appears only when it is complete.
///
/// # Errors
/// Nobody has it, it is too large or not what its packet says, or the file cannot be written.
pub(crate) async fn get(args: GetArgs) -> Result<(), Failure> {
    let target = client::target(&args.relay).await?;
    let client = client::connect(target, None, args.max_bytes).await?;
    let content = fetch(&client.node.handle, args.cid).await?;
    client.node.close().await;
    let path = &args.output;
    let written = if path == Path::new("-") {
        io::stdout().write_all(&content)
    } else {
        write_whole(path, &content)
    };
    written.map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// Waits for the content as long as it comes further.
async fn fetch(handle: &Handle, cid: ContentId) -> Result<Vec<u8>, Failure> {
    let mut events = handle.events().await?;
    let mut fetched = pin!(handle.get(cid));
    let mut patience = pin!(tokio::time::sleep(PATIENCE));
    loop {
        tokio::select! {
            result = &mut fetched => return Ok(result?.1),
            event = events.next() => match event {
                Some(net::Event::Node(Event::Progressed { cid: progressed, .. })) if progressed == cid => {
                    patience.as_mut().reset(Instant::now() + PATIENCE);
                }
                Some(_) => {}
                None => return Err(Failure::Failed("the node ended early".into())),
            },
            () = &mut patience => {
                let secs = PATIENCE.as_secs();
                return Err(Failure::Failed(format!("nobody who can be reached holds {cid} ({secs} s without progress)")));
            }
        }
    }
}

/// Writes beside `path`, then renames: whoever looks sees the old file or the whole new one.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let unfinished = path.with_file_name(format!(
        ".{}.{}.part",
        name.to_string_lossy(),
        std::process::id()
    ));
    let write = || {
        let mut file = fs::File::create_new(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    let result = write();
    if result.is_err() {
        // Best effort; the first error is the one to report.
        let _ = fs::remove_file(&unfinished);
    }
    result
}

/// Time without progress. Guess: the relay asks its neighbours and the DHT within ten seconds, for each of two hops.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_replaced_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_that_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        write_whole(&path, b"new").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
