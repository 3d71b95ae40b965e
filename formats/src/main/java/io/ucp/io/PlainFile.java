package io.ucp.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// A file as it lies on disk. `size` is what it was when it was indexed.
public record PlainFile(Path path, long size) implements ByteSource {
    public static PlainFile of(Path path) throws IOException {
        return new PlainFile(path, Files.size(path));
    }

    @Override
    public ByteReader open() throws IOException {
        FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
        return new ByteReader() {
            @Override
            public void read(long offset, ByteBuffer into) throws IOException {
                long at = offset;
                while (into.hasRemaining()) {
                    int n = readSome(channel, into, at);
                    if (n < 0) {
                        throw new MalformedFileException(
                                path,
                                at,
                                "the file ends here",
                                "%d bytes more".formatted(into.remaining()),
                                "copy the file again from where it was written");
                    }
                    at += n;
                }
            }

            @Override
            public void close() throws IOException {
                channel.close();
            }
        };
    }

    /// An error of the disk says which file it is about.
    private int readSome(FileChannel channel, ByteBuffer into, long at) throws IOException {
        try {
            return channel.read(into, at);
        } catch (ClosedChannelException e) {
            throw e;
        } catch (IOException e) {
            throw WholeFile.named(path, e);
        }
    }
}
