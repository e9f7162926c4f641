//! Files of tensors: safetensors read in pieces, engrams read chunk by chunk, output that appears when it is complete.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chorus_core::{
    digest::{Digest, Hasher},
    engram::{
        Chunk, EngramError, Index, Limits, TensorInfo, index::HEAD, safetensors::Header,
        tensor::CHUNK,
    },
};

use super::{in_file, io_error};
use crate::cmd::{Failure, unfinished::Unfinished};

/// A safetensors file.
pub(super) struct Tensors {
    path: PathBuf,
    file: File,
    header: Header,
    /// Where in the file each tensor begins.
    starts: Vec<u64>,
    /// The places of the tensors by their names.
    by_name: Vec<usize>,
}

impl Tensors {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// It cannot be read, or is no safetensors file.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self, Failure> {
        let (io, wrong) = (io_error(path), in_file(path));
        let mut file = File::open(path).map_err(&io)?;
        let file_len = file.metadata().map_err(&io)?.len();
        let mut head = Vec::new();
        (&mut file).take(8).read_to_end(&mut head).map_err(&io)?;
        let len = Header::len_of(&head, limits).map_err(&wrong)? as u64;
        // No more is read, or asked for, than there is, whatever the file says.
        head.reserve_exact(len.min(file_len) as usize);
        (&mut file)
            .take(len - 8)
            .read_to_end(&mut head)
            .map_err(&io)?;
        let header = Header::parse(&head, limits).map_err(&wrong)?;
        header.check_file_len(file_len).map_err(&wrong)?;
        let mut starts = Vec::with_capacity(header.tensors().len());
        let mut start = len;
        for info in header.tensors() {
            starts.push(start);
            start += info.bytes().unwrap_or_default();
        }
        let mut by_name: Vec<usize> = (0..starts.len()).collect();
        by_name.sort_unstable_by_key(|place| &header.tensors()[*place].name);
        Ok(Self {
            path: path.to_path_buf(),
            file,
            header,
            starts,
            by_name,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the place of the tensor with the name, type and shape of `info`. O(log n).
    pub(super) fn find(&self, info: &TensorInfo) -> Option<usize> {
        let tensors = self.header.tensors();
        let name = |place: &usize| tensors[*place].name.as_str();
        let found = (self.by_name).binary_search_by_key(&info.name.as_str(), name);
        let place = self.by_name[found.ok()?];
        (tensors[place] == *info).then_some(place)
    }

    /// Reads `into.len()` bytes of a tensor from `offset` on.
    ///
    /// # Errors
    /// The file cannot be read, or became shorter.
    pub(super) fn read(
        &mut self,
        tensor: usize,
        offset: u64,
        into: &mut [u8],
    ) -> Result<(), Failure> {
        let start = self.starts.get(tensor).copied().unwrap_or_default();
        read_at(&mut self.file, start + offset, into).map_err(io_error(&self.path))
    }

    /// Returns the digest of a tensor's numbers.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn digest(&mut self, tensor: usize) -> Result<Digest, Failure> {
        let len = self.header.tensors()[tensor].bytes().unwrap_or_default();
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; CHUNK]);
        let mut offset = 0;
        while offset < len {
            let count = (len - offset).min(CHUNK as u64);
            let piece = &mut buffer[..count as usize];
            self.read(tensor, offset, piece)?;
            hasher.update(piece);
            offset += count;
        }
        Ok(hasher.finish())
    }
}

/// An engram in a file.
pub(super) struct Packed {
    path: PathBuf,
    file: File,
    index: Index,
}

impl Packed {
    /// Opens a file and reads its index.
    ///
    /// # Errors
    /// It cannot be read, is no engram, or is shorter or longer than its index says.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self, Failure> {
        let (io, wrong) = (io_error(path), in_file(path));
        let mut file = File::open(path).map_err(&io)?;
        let got = file.metadata().map_err(&io)?.len();
        let mut bytes = Vec::with_capacity(HEAD);
        (&mut file)
            .take(HEAD as u64)
            .read_to_end(&mut bytes)
            .map_err(&io)?;
        let len = Index::len_of(&bytes, limits).map_err(&wrong)? as u64;
        let rest = len - HEAD as u64;
        // No more than there is, whatever the file says.
        bytes.reserve_exact(rest.min(got) as usize);
        (&mut file)
            .take(rest)
            .read_to_end(&mut bytes)
            .map_err(&io)?;
        let index = Index::parse(&bytes, limits).map_err(&wrong)?;
        let expected = index.file_len();
        if got != expected {
            let path = path.display();
            let message = format!("{path}: the engram must have {expected} bytes, got {got}");
            return Err(Failure::Failed(message));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            index,
        })
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the index, and what reads its chunks.
    pub(super) fn parts(
        &mut self,
    ) -> (
        &Index,
        impl FnMut(&Chunk, &mut Vec<u8>) -> Result<(), Failure>,
    ) {
        let (file, path) = (&mut self.file, &self.path);
        let read = move |chunk: &Chunk, into: &mut Vec<u8>| {
            into.resize(chunk.coded_len, 0);
            read_at(file, chunk.position, into).map_err(io_error(path))
        };
        (&self.index, read)
    }

    /// Names the file beside what is wrong with it.
    pub(super) fn wrong(&self) -> impl Fn(EngramError) -> Failure + use<> {
        in_file(&self.path)
    }
}

fn read_at(file: &mut File, position: u64, into: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(position))?;
    file.read_exact(into)
}

/// A file that appears under its name when it is complete, and not at all where it never is. Only a process that is killed
/// leaves it behind, under a name that starts with a dot.
pub(super) struct Output {
    path: PathBuf,
    /// Removed when it is dropped: what never was complete, or the second name of what is.
    unfinished: Unfinished,
    file: BufWriter<File>,
    replaces: bool,
}

impl Output {
    /// Starts a file beside `path`.
    ///
    /// # Errors
    /// There is something at `path` and it is not to be replaced, or the directory cannot be written.
    pub(super) fn create(path: &Path, replaces: bool) -> Result<Self, Failure> {
        if !replaces && fs::symlink_metadata(path).is_ok() {
            return Err(exists(path));
        }
        if path.file_name().is_none() {
            let message = format!("{}: not a file name", path.display());
            return Err(Failure::Usage(message));
        }
        let created = Unfinished::beside(path, &mut OpenOptions::new());
        let (unfinished, file) = created.map_err(io_error(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::new(file),
            unfinished,
            replaces,
        })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(io_error(&self.path))
    }

    /// Ends the file, with `start` over its first bytes, and gives it its name.
    ///
    /// # Errors
    /// As [`Self::write`]; or something came to its place meanwhile.
    pub(super) fn finish(mut self, start: &[u8]) -> Result<(), Failure> {
        let write = |file: &mut BufWriter<File>| {
            file.flush()?;
            let file = file.get_mut();
            file.seek(SeekFrom::Start(0))?;
            file.write_all(start)?;
            file.sync_all()
        };
        write(&mut self.file).map_err(io_error(&self.path))?;
        if self.replaces {
            return fs::rename(self.unfinished.path(), &self.path).map_err(io_error(&self.path));
        }
        // A link never replaces what came meanwhile. Where the file system has none, look again and rename.
        match fs::hard_link(self.unfinished.path(), &self.path) {
            Ok(()) => Ok(()),
            Err(_) if fs::symlink_metadata(&self.path).is_ok() => Err(exists(&self.path)),
            Err(_) => fs::rename(self.unfinished.path(), &self.path).map_err(io_error(&self.path)),
        }
    }
}

fn exists(path: &Path) -> Failure {
    Failure::Usage(format!("{} exists; --force replaces it", path.display()))
}

#[cfg(test)]
mod tests {
    use chorus_core::engram::Dtype;

    use super::*;

    #[test]
    fn what_another_run_left_behind_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        // Processes in containers all have the same number.
        let left = dir.path().join(format!(".out.{}.part", std::process::id()));
        fs::write(&left, "left behind").unwrap();
        let mut output = Output::create(&path, false).unwrap();
        let other = Output::create(&path, false).unwrap();
        output.write(b"whole").unwrap();
        output.finish(&[]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(other.finish(&[]).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(left.exists());
    }

    #[test]
    fn a_tensor_is_found_by_name_type_and_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in");
        let info = |name: &str, dtype| TensorInfo {
            name: name.into(),
            dtype,
            shape: vec![2],
        };
        let infos: Vec<_> = (0..300)
            .map(|at| info(&format!("layer {}", at * 7 % 300), Dtype::U8))
            .collect();
        let header = Header::new(infos.clone(), Vec::new(), &Limits::default()).unwrap();
        fs::write(&path, [header.bytes(), &[0; 600]].concat()).unwrap();
        let tensors = Tensors::open(&path, &Limits::default()).unwrap();
        for (at, info) in infos.iter().enumerate() {
            assert_eq!(tensors.find(info), Some(at));
        }
        assert_eq!(tensors.find(&info("layer 7", Dtype::I8)), None);
        assert_eq!(tensors.find(&info("layer", Dtype::U8)), None);
    }

    #[test]
    fn an_output_appears_whole_and_replaces_nothing_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut output = Output::create(&path, false).unwrap();
        output.write(b"....whole").unwrap();
        assert!(!path.exists());
        output.finish(b"the ").unwrap();
        assert_eq!(
            fs::read(&path).unwrap(),
            b"the .whole"[..4]
                .iter()
                .chain(b"whole")
                .copied()
                .collect::<Vec<_>>()
        );

        assert!(matches!(
            Output::create(&path, false),
            Err(Failure::Usage(_))
        ));
        let mut output = Output::create(&path, true).unwrap();
        output.write(b"new").unwrap();
        output.finish(&[]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");

        fs::remove_file(&path).unwrap();
        let output = Output::create(&path, false).unwrap();
        fs::write(&path, "another's").unwrap();
        assert!(output.finish(&[]).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        drop(Output::create(&path, true).unwrap());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }
}
