package io.ucp.formats;

import io.ucp.formats.TargetFile.Part;
import io.ucp.io.ByteReader;
import io.ucp.io.ChecksumField;
import io.ucp.io.WindowAssembler;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.CRC32;

/// Writes a target tree the slow and obvious way, from states that are whole in memory: what the
/// executor's files are judged by, and how formats are tested without it.
public final class TargetTreeWriter {
    /// Where whole states come from.
    public interface States {
        /// Bytes of the whole tensor, row-major.
        byte[] of(String parameter, String state) throws IOException;

        /// The same in another dtype, where the target casts.
        default byte[] of(String parameter, String state, DType dtype) throws IOException {
            return of(parameter, state);
        }
    }

    private TargetTreeWriter() {}

    /// @param digests of the parameters' states, for closing files
    public static void write(
            TargetTree tree, Path folder, States states, Map<String, Map<String, String>> digests)
            throws IOException {
        for (TargetFile file : tree.files()) {
            put(folder, file.path(), bytes(file, states));
        }
        for (TargetTree.SmallFile file :
                tree.closing().apply(new TargetTree.Outcome(digests, Map.of()))) {
            put(folder, file.path(), file.bytes());
        }
        for (TargetTree.SmallFile file : tree.pointers()) {
            put(folder, file.path(), file.bytes());
        }
    }

    public static void write(TargetTree tree, Path folder, States states) throws IOException {
        write(tree, folder, states, Map.of());
    }

    private static void put(Path folder, String path, byte[] bytes) throws IOException {
        Path file = folder.resolve(path);
        Files.createDirectories(file.getParent());
        Files.write(file, bytes);
    }

    /// One file's bytes.
    public static byte[] bytes(TargetFile file, States states) throws IOException {
        ByteBuffer view =
                ByteBuffer.allocate(Math.toIntExact(file.size())).order(ByteOrder.LITTLE_ENDIAN);
        for (Part part : file.parts()) {
            view.put((int) part.offset(), content(part, states));
        }
        for (ChecksumField field : file.checksums()) {
            CRC32 crc = new CRC32();
            crc.update(view.array(), (int) field.from(), (int) field.size());
            field.at().forEach(at -> view.putInt((int) (long) at, (int) crc.getValue()));
        }
        return file.assembler().isPresent()
                ? assembled(file.assembler().get(), view)
                : view.array();
    }

    private static byte[] content(Part part, States states) throws IOException {
        return switch (part) {
            case Part.Literal literal -> literal.bytes();
            case Part.Zeros zeros -> new byte[(int) zeros.size()];
            case Part.Copied copied -> {
                ByteBuffer bytes = ByteBuffer.allocate((int) copied.size());
                try (ByteReader reader = copied.source().open()) {
                    reader.read(copied.sourceOffset(), bytes);
                }
                yield bytes.array();
            }
            case Part.Elements elements -> gathered(elements.of(), states);
        };
    }

    private static byte[] gathered(Elementwise of, States states) throws IOException {
        byte[] whole = states.of(of.parameter(), of.state(), of.dtype());
        byte[] local = new byte[(int) of.size()];
        for (Piece piece : of.pieces()) {
            gather(piece, 0, 0, piece.localOffset(), of.dtype().width(), whole, local);
        }
        return local;
    }

    /// @param from element of the parameter at which the box begins, so far as dims are decided
    private static void gather(
            Piece piece, int dim, long from, long to, int width, byte[] whole, byte[] local) {
        if (dim == piece.grid().length) {
            System.arraycopy(whole, (int) from * width, local, (int) to * width, width);
            return;
        }
        for (long i = 0; i < piece.extent()[dim]; i++) {
            gather(
                    piece,
                    dim + 1,
                    from * piece.grid()[dim] + piece.start()[dim] + i,
                    to + i * piece.localStride()[dim],
                    width,
                    whole,
                    local);
        }
    }

    private static byte[] assembled(WindowAssembler assembler, ByteBuffer view) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        long[] sizes = new long[assembler.cuts().size()];
        int from = 0;
        WindowAssembler.Encoder encoder = assembler.encoder();
        for (int i = 0; i < sizes.length; i++) {
            int to = Math.toIntExact(assembler.cuts().get(i));
            ByteBuffer encoded = encoder.encode(i, view.slice(from, to - from));
            sizes[i] = encoded.remaining();
            append(encoded, out);
            from = to;
        }
        encoder.close();
        append(assembler.epilogue(sizes), out);
        return out.toByteArray();
    }

    private static void append(ByteBuffer bytes, ByteArrayOutputStream out) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        out.writeBytes(copy);
    }
}
