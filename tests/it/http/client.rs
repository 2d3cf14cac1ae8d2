//! A plain HTTP/1.1 client over a blocking socket, so that a test sees every byte and when it comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer of a healthy server takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A response whose head has been read.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    framing: Framing,
}

enum Framing {
    /// Bytes left of the present chunk.
    Chunked(usize),
    Length(usize),
}

/// Sends a request and reads the head of its answer.
pub fn request(address: SocketAddr, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{line} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || line.starts_with("POST") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    socket.write_all((head + "\r\n").as_bytes()).unwrap();
    // A server may answer and close before it has read everything.
    let _ = socket.write_all(body);
    Response::read(socket)
}

pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, &format!("GET {path}"), &[], b"")
}

pub fn post_json(address: SocketAddr, path: &str, body: &str) -> Response {
    let headers = [("content-type", "application/json")];
    request(address, &format!("POST {path}"), &headers, body.as_bytes())
}

impl Response {
    /// Reads the head of an answer from a socket.
    pub fn read(socket: TcpStream) -> Self {
        let mut reader = BufReader::new(socket);
        let mut lines = vec![];
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the answer breaks off: {lines:?}");
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let find = |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, v)| v);
        let framing = match find("content-length") {
            Some(length) => Framing::Length(length.parse().unwrap()),
            None if status == 204 => Framing::Length(0),
            None => {
                assert_eq!(find("transfer-encoding").map(String::as_str), Some("chunked"));
                Framing::Chunked(0)
            }
        };
        Self { status, headers, reader, framing }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The whole body.
    pub fn bytes(mut self) -> Vec<u8> {
        let mut body = vec![];
        self.read_to_end(&mut body).unwrap();
        body
    }

    pub fn text(self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub fn json(self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The lines of the body as they arrive.
    pub fn lines(self) -> impl Iterator<Item = String> {
        BufReader::new(self).lines().map(|line| line.expect("the body goes on"))
    }

    /// The frames of an NDJSON body as they arrive.
    pub fn frames(self) -> impl Iterator<Item = Value> {
        self.lines().map(|line| serde_json::from_str(&line).unwrap())
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = match &mut self.framing {
            Framing::Length(left) => left,
            Framing::Chunked(left) => {
                if *left == 0 {
                    let mut line = String::new();
                    self.reader.read_line(&mut line)?;
                    *left = usize::from_str_radix(line.trim_end(), 16)
                        .map_err(|_| std::io::Error::other(format!("no chunk size: `{line}`")))?;
                    if *left == 0 {
                        self.reader.read_line(&mut line)?;
                        self.framing = Framing::Length(0);
                        return Ok(0);
                    }
                }
                left
            }
        };
        let wanted = buffer.len().min(*left);
        if wanted == 0 {
            return Ok(0);
        }
        let taken = self.reader.read(&mut buffer[..wanted])?;
        if taken == 0 {
            return Err(std::io::Error::other("the body breaks off"));
        }
        *left -= taken;
        if let Framing::Chunked(0) = self.framing {
            let mut end = String::new();
            self.reader.read_line(&mut end)?;
        }
        Ok(taken)
    }
}
