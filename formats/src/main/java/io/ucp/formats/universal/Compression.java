package io.ucp.formats.universal;

import io.ucp.tensor.DType;

import java.util.Arrays;
import java.util.Optional;

/// How the values of a state file's tensors lie in it.
enum Compression {
    NONE("none"),

    /// In Arrow's own buffer compression.
    ZSTD("zstd"),

    /// The same, of their bytes sorted by their place in the element ([BytePlanes]): the column is
    /// a struct that has a field for each.
    SHUFFLED("zstd+shuffle");

    private final String text;

    Compression(String text) {
        this.text = text;
    }

    /// As the manifest has it.
    String text() {
        return text;
    }

    static Optional<Compression> of(String text) {
        return Arrays.stream(values()).filter(c -> c.text.equals(text)).findFirst();
    }

    /// This, or plain compression where elements have no bytes to sort.
    Compression on(DType dtype) {
        return this == SHUFFLED && !BytePlanes.sorts(dtype.width()) ? ZSTD : this;
    }

    boolean compresses() {
        return this != NONE;
    }

    /// Buffers that hold the values of a record batch, as many bytes each.
    int buffers(DType dtype) {
        return this == SHUFFLED ? dtype.width() : 1;
    }
}
