//! Requests as both sides get them, each over a connection of its own.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use serde_json::Value;

/// In seconds.
pub(crate) fn timed<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The header of an answer, and what of its body came with it.
fn head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn good(head: &str, stream: &mut TcpStream, mut rest: Vec<u8>) -> io::Result<Vec<u8>> {
    match head.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(rest),
        _ => {
            stream.read_to_end(&mut rest)?;
            let words = String::from_utf8_lossy(&rest);
            Err(io::Error::other(format!("{head}{words}")))
        }
    }
}

pub(crate) fn send(to: SocketAddr, path: &str, proof: &str, content: &[u8]) -> io::Result<f64> {
    timed(|| {
        let mut stream = TcpStream::connect(to)?;
        let size = content.len();
        let head_line =
            format!("PUT {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{proof}");
        stream.write_all(format!("{head_line}content-length: {size}\r\n\r\n").as_bytes())?;
        stream.write_all(content)?;
        let (head, rest) = head(&mut stream)?;
        good(&head, &mut stream, rest).map(drop)
    })
}

pub(crate) fn fetch(from: SocketAddr, path: &str, proof: &str, size: usize) -> io::Result<f64> {
    let mut buffer = vec![0; 1 << 20];
    timed(|| {
        let mut stream = TcpStream::connect(from)?;
        let line =
            format!("GET {path} HTTP/1.1\r\nhost: {from}\r\nconnection: close\r\n{proof}\r\n");
        stream.write_all(line.as_bytes())?;
        let (head, rest) = head(&mut stream)?;
        let rest = good(&head, &mut stream, rest)?;
        let mut came = rest.len();
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => came += read,
            }
        }
        match came == size {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    })
}

pub(crate) fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    proof: &str,
    body: &str,
) -> io::Result<Value> {
    let mut stream = TcpStream::connect(to)?;
    let line = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{proof}");
    let more = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{line}{more}{body}").as_bytes())?;
    let (head, rest) = head(&mut stream)?;
    let mut rest = good(&head, &mut stream, rest)?;
    stream.read_to_end(&mut rest)?;
    Ok(serde_json::from_slice(&rest).unwrap_or(Value::Null))
}

pub(crate) fn get(from: SocketAddr, path: &str, proof: &str) -> io::Result<Value> {
    ask(from, "GET", path, proof, "")
}
