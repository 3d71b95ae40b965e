package io.ucp.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/// A file as it lies on disk. `size` and `stamp` are what it had when it was indexed.
public record PlainFile(Path path, long size, Optional<FileStamp> stamp) implements ByteSource {
    /// Of a file that nothing looked at yet.
    public PlainFile(Path path, long size) {
        this(path, size, Optional.empty());
    }

    /// As it is now: to be asked for before any of it is read.
    public static PlainFile of(Path path) throws IOException {
        return of(path, FileStamp.of(path));
    }

    public static PlainFile of(Path path, FileStamp stamp) {
        return new PlainFile(path, stamp.size(), Optional.of(stamp));
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
