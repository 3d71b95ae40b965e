package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.TensorEntry;
import io.ucp.io.ByteReader;

import java.io.IOException;
import java.nio.ByteBuffer;

/// Reads dense tensors whole.
final class TensorBytes {
    private TensorBytes() {}

    static byte[] of(TensorEntry tensor) throws IOException {
        if (!tensor.isDense()) {
            throw new IllegalArgumentException("not dense: " + tensor);
        }
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(tensor.size()));
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        return bytes.array();
    }
}
