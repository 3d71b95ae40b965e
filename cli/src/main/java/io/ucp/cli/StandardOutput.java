package io.ucp.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.Objects;
import java.util.Optional;

/// Standard output, which remembers what a `PrintWriter` passes over in silence: that a report did
/// not reach its file.
final class StandardOutput extends FileOutputStream {
    private Optional<String> failure = Optional.empty();

    StandardOutput() {
        super(FileDescriptor.out);
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes) throws IOException {
        write(bytes, 0, bytes.length);
    }

    @Override
    public void write(byte[] bytes, int from, int count) throws IOException {
        try {
            super.write(bytes, from, count);
        } catch (IOException e) {
            if (failure.isEmpty()) {
                failure = Optional.of(Objects.requireNonNullElse(e.getMessage(), "failed"));
            }
            throw e;
        }
    }

    /// What went wrong first. A reader that has seen enough (`| head`) is no failure.
    Optional<String> failure() {
        return failure.filter(message -> !message.contains("Broken pipe"));
    }
}
