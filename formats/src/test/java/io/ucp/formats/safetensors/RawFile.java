package io.ucp.formats.safetensors;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// A safetensors file by its bytes, right or wrong.
record RawFile(byte[] header, long statedSize, byte[] data) {
    static RawFile of(String header, int dataSize) {
        byte[] bytes = header.getBytes(StandardCharsets.UTF_8);
        byte[] data = new byte[dataSize];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) (i + 1);
        }
        return new RawFile(bytes, bytes.length, data);
    }

    /// One tensor of uint8 numbers.
    static String u8(String name, int begin, int end) {
        return "\"%s\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]}"
                .formatted(name, end - begin, begin, end);
    }

    RawFile stating(long size) {
        return new RawFile(header, size, data);
    }

    Path write(Path file) throws IOException {
        ByteBuffer prefix = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        try (OutputStream out = Files.newOutputStream(file)) {
            out.write(prefix.putLong(statedSize).array());
            out.write(header);
            out.write(data);
        }
        return file;
    }
}
