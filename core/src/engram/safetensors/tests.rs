use alloc::string::ToString;

use super::*;

fn file(json: &str) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes
}

fn parse(json: &str) -> Result<Header, EngramError> {
    Header::parse(&file(json), &Limits::default())
}

fn refused(json: &str) -> String {
    parse(json).unwrap_err().to_string()
}

#[test]
fn a_header_is_kept_to_the_byte_and_listed_by_place() {
    let json = "{ \"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},\n\
        \"__metadata__\":{\"format\":\"pt\"},\"a\":{\"data_offsets\":[0,4],\"dtype\":\"BF16\",\"shape\":[2]},\
        \"e\":{\"dtype\":\"I8\",\"shape\":[0,9],\"data_offsets\":[4,4]},\
        \"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[28,29]}}   ";
    let header = parse(json).unwrap();
    assert_eq!(header.bytes(), file(json));
    let names: Vec<_> = header
        .tensors()
        .iter()
        .map(|info| info.name.as_str())
        .collect();
    assert_eq!(names, ["a", "e", "b", "s"]);
    assert_eq!((header.data_len(), header.metadata().len()), (29, 1));
    header
        .check_file_len(header.bytes().len() as u64 + 29)
        .unwrap();
    assert!(header.check_file_len(29).is_err());
    assert!(header.check_file_len(1000).is_err());
}

#[test]
fn a_header_that_is_made_is_read_back() {
    let info = |name: &str, shape: &[u64]| TensorInfo {
        name: name.into(),
        dtype: Dtype::F16,
        shape: shape.into(),
    };
    let tensors = alloc::vec![info("a\"\\", &[3, 4]), info("é", &[]), info("", &[0])];
    let made = Header::new(
        tensors,
        alloc::vec![("k".into(), "\n".into())],
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(
        Header::parse(made.bytes(), &Limits::default()),
        Ok(made.clone())
    );
    assert_eq!(made.bytes().len() % 8, 0);
}

#[test]
fn a_header_that_could_not_be_read_back_is_not_made() {
    let info = |name: &str| TensorInfo {
        name: name.into(),
        dtype: Dtype::U8,
        shape: alloc::vec![0],
    };
    let limits = Limits {
        max_tensors: 2,
        max_metadata: 2,
        ..Limits::default()
    };
    let pairs = |keys: &[&str]| keys.iter().map(|key| ((*key).into(), "".into())).collect();
    let refused = |names: &[&str], keys: &[&str]| {
        let infos = names.iter().map(|name| info(name)).collect();
        let error = Header::new(infos, pairs(keys), &limits).unwrap_err();
        error.to_string()
    };
    let made = Header::new([info("a"), info("b")].into(), pairs(&["k", "l"]), &limits).unwrap();
    assert_eq!(Header::parse(made.bytes(), &limits), Ok(made.clone()));
    assert_eq!(
        refused(&["a", "b", "c"], &[]),
        "tensors must be at most 2, got 3"
    );
    assert_eq!(
        refused(&[], &["k", "l", "m"]),
        "texts of metadata must be at most 2, got 3"
    );
    assert_eq!(
        refused(&[], &["k", "k"]),
        "metadata \"k\": the key is there twice"
    );
    assert_eq!(
        refused(&["__metadata__"], &[]),
        "tensor \"__metadata__\": safetensors has this name for what is no tensor"
    );
}

#[test]
fn metadata_past_its_bound_is_refused_where_it_passes() {
    let texts: Vec<_> = (0..4097).map(|key| format!("\"{key}\":\"\"")).collect();
    let json = |count: usize| format!("{{\"__metadata__\":{{{}}}}}", texts[..count].join(","));
    assert_eq!(parse(&json(4096)).unwrap().metadata().len(), 4096);
    assert_eq!(
        refused(&json(4097)),
        "texts of metadata must be at most 4096, got 4097"
    );
    // What comes after it is not looked at.
    let cut = json(4097).replace("}}", "");
    assert_eq!(
        refused(&cut),
        "texts of metadata must be at most 4096, got 4097"
    );
}

#[test]
fn headers_that_lie_are_refused_with_the_tensor_and_the_place() {
    let one = |place: &str| {
        format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{place}}}}}")
    };
    for (place, said) in [
        ("[0,9]", "its shape and type make 8 bytes, its place is 9"),
        ("[0,4]", "its place is 4"),
        ("[8,0]", "must begin at byte 0 of the numbers, begins at 8"),
        (
            "[0,18446744073709551615]",
            "its place is 18446744073709551615",
        ),
        ("[4,12]", "must begin at byte 0"),
    ] {
        let error = refused(&one(place));
        assert!(
            error.contains("tensor \"w\"") && error.contains(said),
            "{place}: {error}"
        );
    }
    for place in [
        "[0,18446744073709551616]",
        "[-1,8]",
        "[0.0,8]",
        "[0,8,9]",
        "[0]",
        "\"\"",
    ] {
        assert!(
            refused(&one(place)).starts_with("safetensors header, byte "),
            "{place}"
        );
    }
}

#[test]
fn overlaps_holes_and_names_that_are_there_twice_are_refused() {
    let two = |second: &str| {
        format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}},{second}}}")
    };
    let at = |place: &str| {
        two(&format!(
            "\"b\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":{place}}}"
        ))
    };
    parse(&at("[4,8]")).unwrap();
    for place in ["[3,7]", "[5,9]", "[0,4]"] {
        assert!(
            refused(&at(place)).contains("must begin at byte 4"),
            "{place}"
        );
    }
    assert_eq!(
        refused(&at("[4,2]")),
        "tensor \"b\": it must end after it begins, at 4, and ends at 2"
    );
    for (second, said) in [
        (
            "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}",
            "tensor \"a\": the name is there twice",
        ),
        (
            "\"b\":{\"dtype\":\"F8_E4M3FNUZ\",\"shape\":[4],\"data_offsets\":[4,8]}",
            "tensor \"b\": type \"F8_E4M3FNUZ\" is not known",
        ),
        (
            "\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}",
            "metadata \"k\": the key is there twice",
        ),
        (
            "\"__metadata__\":{},\"__metadata__\":{}",
            "tensor \"__metadata__\": the name is there twice",
        ),
    ] {
        assert_eq!(refused(&two(second)), said);
    }
    for second in [
        "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"shape\":[4],\"data_offsets\":[4,8]}",
        "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8],\"more\":1}",
        "\"__metadata__\":{\"k\":1}",
    ] {
        assert!(
            refused(&two(second)).contains("a field is missing, unknown, doubled"),
            "{second}"
        );
    }
}

#[test]
fn counts_of_2_to_the_64_and_what_is_past_a_bound_are_refused() {
    let shape = |shape: &str| {
        refused(&format!(
            "{{\"w\":{{\"dtype\":\"F64\",\"shape\":{shape},\"data_offsets\":[0,0]}}}}"
        ))
    };
    assert!(shape("[4294967296,4294967296]").contains("2^64"));
    assert!(shape("[18446744073709551615]").contains("2^64"));
    assert_eq!(
        shape("[0,18446744073709551615]"),
        "tensor \"w\": a dimension must be at most 9223372036854775807, got 18446744073709551615"
    );
    assert!(shape(&format!("[{}0]", "1,".repeat(700))).contains("at most 16, got 701"));
    assert!(shape("[18446744073709551616]").contains("past 64 bits"));
    assert!(
        shape("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]")
            .contains("dimensions must be at most 16, got 17")
    );
    assert!(shape("[9000000000]").contains("bytes of a tensor must be at most"));
    let odd = "{\"w\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}";
    assert!(refused(odd).contains("whole number of bytes"));
    let long = format!(
        "{{\"{}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}}}",
        "n".repeat(600)
    );
    assert!(refused(&long).contains("bytes of a tensor's name must be at most 512, got 600"));
    let limits = Limits {
        max_tensors: 0,
        ..Limits::default()
    };
    assert_eq!(
        Header::parse(
            &file("{\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
            &limits
        )
        .unwrap_err()
        .to_string(),
        "tensors must be at most 0, got 1"
    );
    let mut huge = u64::MAX.to_le_bytes().to_vec();
    huge.push(b'{');
    let error = Header::parse(&huge, &Limits::default())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "bytes of a header must be at most 8388608, got 18446744073709551615"
    );
}

#[test]
fn what_is_no_json_names_the_byte() {
    assert_eq!(
        refused("{\"w\"\n:]}"),
        "safetensors header, byte 14: the header is no JSON"
    );
    assert!(refused(" {}").contains("must begin with {"));
    assert!(refused("{}x").contains("the header is no JSON"));
    assert!(refused("{").contains("no JSON"));
    assert!(Header::parse(&file("{}")[..9], &Limits::default()).is_err());
    assert!(Header::parse(&[0; 7], &Limits::default()).is_err());
    assert_eq!(parse("{}").unwrap().data_len(), 0);
}
