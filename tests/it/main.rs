//! What a client, a peer or a mathematician sees. One binary, one module per theme.
mod matrix_market;
mod simulation;
mod wire;
