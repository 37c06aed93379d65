use super::Files;
use bytes::Bytes;
use futures_util::TryStreamExt;
use rookery_pds::ports::{BlobError, Blobs};
use std::fs;
use std::path::Path;

const KEY: &str = "abc/0d1e2f";

async fn kept(store: &Files, key: &str, parts: &[&'static [u8]]) {
    let mut upload = store.receive(key).await.unwrap();
    for part in parts {
        upload.write(Bytes::from_static(part)).await.unwrap();
    }
    upload.keep().await.unwrap();
}

async fn bytes(store: &Files, range: Option<std::ops::Range<u64>>) -> Option<Vec<u8>> {
    let chunks: Vec<Bytes> = store.read(KEY, range).await.unwrap()?.try_collect().await.unwrap();
    Some(chunks.concat())
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn an_object_is_kept_read_in_ranges_and_deleted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = Files::open(dir.path()).unwrap();
    assert_eq!(bytes(&store, None).await, None);
    kept(&store, KEY, &[b"hello ", b"world"]).await;
    assert_eq!(bytes(&store, None).await.unwrap(), b"hello world");
    assert_eq!(bytes(&store, Some(6..9)).await.unwrap(), b"wor");
    assert_eq!(files(&dir.path().join("arriving")), 0);
    store.delete(KEY).await.unwrap();
    store.delete(KEY).await.unwrap();
    store.delete("never/there-1").await.unwrap();
    assert_eq!(bytes(&store, None).await, None);
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_and_neither_does_one_that_was_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let incoming = dir.path().join("arriving");
    let store = Files::open(dir.path()).unwrap();
    let mut upload = store.receive(KEY).await.unwrap();
    upload.write(Bytes::from_static(b"half")).await.unwrap();
    drop(upload);
    assert_eq!(files(&incoming), 0);

    fs::write(incoming.join("7"), b"left by a crash").unwrap();
    Files::open(dir.path()).unwrap();
    assert_eq!(files(&incoming), 0);
}

#[tokio::test]
async fn an_object_that_was_cut_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Files::open(dir.path()).unwrap();
    kept(&store, KEY, &[b"hello world"]).await;
    fs::write(dir.path().join("objects").join(KEY), b"hel").unwrap();
    let stream = store.read(KEY, Some(0..11)).await.unwrap().unwrap();
    assert!(stream.try_collect::<Vec<Bytes>>().await.is_err());
}

#[tokio::test]
async fn keys_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Files::open(dir.path()).unwrap();
    for key in ["", "../x", "a//b", "/etc/passwd", "a/..", "a\\b"] {
        assert!(matches!(store.read(key, None).await, Err(BlobError::Failed(_))), "{key}");
        assert!(store.delete(key).await.is_err(), "{key}");
        assert!(store.receive(key).await.is_err(), "{key}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_and_folders_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Files::open(&dir.path().join("blobs")).unwrap();
    kept(&store, KEY, &[b"secret"]).await;
    let mode =
        |path: &str| fs::metadata(dir.path().join("blobs").join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("objects/abc"), mode("arriving")), (0o700, 0o700, 0o700));
    assert_eq!(mode(&format!("objects/{KEY}")), 0o600);
}
