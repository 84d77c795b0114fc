"""What records hold that are not plain JSON: frames of schema registries, and Avro behind them."""
