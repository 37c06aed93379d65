use super::*;
use proptest::prelude::*;

fn sample(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = header(&[Cid::dag_cbor(b"root")]);
    for block in blocks {
        section(&Cid::raw(block), block, &mut out);
    }
    out
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_however_it_is_chunked(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        chunk in 1usize..400,
    ) {
        let bytes = sample(&blocks);
        let mut reader = Reader::new(Limits::default());
        let mut found = Vec::new();
        for part in bytes.chunks(chunk) {
            reader.feed(part);
            while let Some((cid, block)) = reader.next_block().unwrap() {
                assert_eq!(cid, Cid::raw(&block));
                found.push(block.to_vec());
            }
        }
        prop_assert_eq!(found, blocks);
        prop_assert_eq!(reader.finish().unwrap(), vec![Cid::dag_cbor(b"root")]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn a_cut_or_altered_car_is_refused(cut in 0usize..200, flip in 0usize..200) {
        let bytes = sample(&[vec![1; 40], vec![2; 50]]);
        let whole = bytes.len();
        let boundaries = [sample(&[]).len(), sample(&[vec![1; 40]]).len(), whole];
        let cut = cut % whole;
        prop_assume!(!boundaries.contains(&cut));
        prop_assert!(read_all(&bytes[..cut]).is_err());
        let mut altered = bytes.clone();
        let at = flip % whole;
        altered[at] ^= 0x01;
        let differs = match read_all(&altered) {
            Err(_) => true,
            Ok(car) => car.roots != read_all(&bytes).unwrap().roots,
        };
        prop_assert!(differs, "byte {} altered unnoticed", at);
    }
}

#[test]
fn a_length_longer_than_needed_is_refused() {
    let mut bytes = sample(&[]);
    bytes.extend_from_slice(&[0xa4, 0x80, 0x00]);
    assert!(matches!(read_all(&bytes), Err(CarError::Length(0))));
}

#[test]
fn a_section_too_short_for_a_cid_is_refused() {
    for short in [0u8, 1, 35] {
        let mut bytes = sample(&[]);
        bytes.push(short);
        bytes.extend(std::iter::repeat_n(1, short.into()));
        assert!(matches!(read_all(&bytes), Err(CarError::Length(0))));
    }
}

#[test]
fn a_header_over_the_limit_is_refused_before_it_arrives() {
    let mut bytes = Vec::new();
    varint::write(4097, &mut bytes);
    assert!(matches!(read_all(&bytes), Err(CarError::TooLong { limit: 4096, .. })));
    assert!(matches!(read_all(&header(&[Cid::raw(b"x"); 200])), Err(CarError::TooLong { .. })));
}

#[test]
fn a_section_over_the_limit_is_refused_before_it_arrives() {
    let mut bytes = sample(&[]);
    varint::write(u64::MAX >> 2, &mut bytes);
    assert!(matches!(read_all(&bytes), Err(CarError::TooLong { section: 0, .. })));
}

#[test]
fn a_header_of_another_version_is_refused() {
    let mut map = Writer::new();
    map.map(2);
    map.text("roots");
    map.array(0);
    map.text("version");
    map.uint(2);
    let mut bytes = Vec::new();
    varint::write(map.as_bytes().len() as u64, &mut bytes);
    bytes.extend_from_slice(map.as_bytes());
    assert!(matches!(read_all(&bytes), Err(CarError::Header(_))));
    assert!(matches!(read_all(&[]), Err(CarError::Truncated(0))));
}
