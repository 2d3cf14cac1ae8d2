//! What a client, a peer or a mathematician sees. One binary, one module per theme.
mod simulation;
mod matrix_market;
mod wire;
