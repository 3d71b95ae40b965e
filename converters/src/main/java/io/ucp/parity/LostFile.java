package io.ucp.parity;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.MalformedFileException;
import io.ucp.parity.Stripes.Block;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/// A lost file as its parity gives it: every read decodes the blocks that it touches.
///
/// @param first the stripe of its first block; the others follow
record LostFile(
        Path path,
        StoredFile file,
        DecodedStripes decoded,
        Stripes stripes,
        Stripe first,
        int member)
        implements ByteSource {
    @Override
    public long size() {
        return file.size();
    }

    @Override
    public ByteReader open() {
        return new ByteReader() {
            @Override
            public void read(long offset, ByteBuffer into) throws IOException {
                LostFile.this.read(offset, into);
            }

            @Override
            public void close() {}
        };
    }

    private void read(long offset, ByteBuffer into) throws IOException {
        if (into.remaining() > file.size() - offset) {
            throw new MalformedFileException(
                    path,
                    file.size(),
                    "the file ends here",
                    "%d bytes more".formatted(into.remaining() - (file.size() - offset)),
                    "");
        }
        Block start = stripes.block(member, first.index()).orElseThrow();
        long at = offset;
        while (into.hasRemaining()) {
            int index = Math.toIntExact(at / blockSize(start));
            Stripe stripe = new Stripe(first.set(), first.index() + index);
            ByteBuffer block = decoded.block(stripe, member);
            int from = (int) (at - (long) index * blockSize(start));
            int count = Math.min(into.remaining(), block.limit() - from);
            into.put(block.slice(from, count));
            at += count;
        }
    }

    /// Of all blocks of the file but the last.
    private long blockSize(Block start) {
        return Math.max(1, start.length());
    }
}
