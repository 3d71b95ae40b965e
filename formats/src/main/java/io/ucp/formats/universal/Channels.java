package io.ucp.formats.universal;

import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Path;

/// Positional reads that are whole or an error.
final class Channels {
    private Channels() {}

    static void read(FileChannel channel, Path path, long offset, ByteBuffer into)
            throws IOException {
        long at = offset;
        while (into.hasRemaining()) {
            int n = readSome(channel, path, at, into);
            if (n < 0) {
                throw new MalformedFileException(
                        path,
                        at,
                        "the file ends here",
                        "%d bytes more".formatted(into.remaining()),
                        "copy the checkpoint again");
            }
            at += n;
        }
    }

    private static int readSome(FileChannel channel, Path path, long at, ByteBuffer into)
            throws IOException {
        try {
            return channel.read(into, at);
        } catch (ClosedChannelException | FileSystemException e) {
            throw e;
        } catch (IOException e) {
            throw WholeFile.named(path, e);
        }
    }

    /// @param size that the caller has checked against what the file can hold
    static byte[] read(FileChannel channel, Path path, long offset, int size) throws IOException {
        byte[] bytes = new byte[size];
        read(channel, path, offset, ByteBuffer.wrap(bytes));
        return bytes;
    }

    static MalformedFileException pastEnd(Path path, long offset, int bytes, long size) {
        return new MalformedFileException(
                path,
                -1,
                "%d bytes asked for at %d of the tensors".formatted(bytes, offset),
                "a place in the %d bytes that they have".formatted(size),
                "");
    }
}
