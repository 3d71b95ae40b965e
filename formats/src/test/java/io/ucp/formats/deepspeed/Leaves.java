package io.ucp.formats.deepspeed;

import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.io.ByteReader;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/// Every leaf of every torch file of a folder: tensors by dtype, shape and values, all else by its
/// value; kinds and order of dicts do not count. What DeepSpeed leaves uninitialised is zero here.
public final class Leaves {
    private static final int GARBAGE = 0x7fc0dead;
    private static final short SHORT_GARBAGE = 0x7fdd;

    private final Map<String, String> leaves = new TreeMap<>();

    private Leaves() {}

    public static Map<String, String> of(Path folder) throws IOException {
        Leaves all = new Leaves();
        List<Path> files;
        try (Stream<Path> walk = Files.walk(folder)) {
            files = walk.filter(p -> p.toString().endsWith(".pt")).sorted().toList();
        }
        for (Path path : files) {
            CheckpointFile file = CheckpointFile.open(path);
            all.add(file, folder.relativize(path) + ":", file.root());
        }
        return all.leaves;
    }

    /// Without how many entries dicts have, and whether file names say that weights are bf16: what
    /// DeepSpeed makes anew on entering ZeRO may be more than the generator has.
    static Map<String, String> loosely(Map<String, String> leaves) {
        Map<String, String> all = new TreeMap<>();
        leaves.forEach(
                (path, value) -> {
                    if (!value.startsWith("dict of ")) {
                        all.put(path.replace("/bf16_zero", "/zero"), value);
                    }
                });
        return all;
    }

    private void add(CheckpointFile file, String path, PickleValue value) throws IOException {
        Optional<TensorEntry> tensor = file.tensor(value);
        Optional<PyDict> dict =
                value instanceof PyObject object && object.attributes().isPresent()
                        ? object.attributes()
                        : value.asDict();
        Optional<List<PickleValue>> sequence = value.asSequence();
        if (tensor.isPresent()) {
            leaves.put(path, text(tensor.get()));
        } else if (dict.isPresent()) {
            leaves.put(path, "dict of " + dict.get().size());
            for (PyDict.Entry e : dict.get().entries()) {
                add(file, path + "/" + e.key(), e.value());
            }
        } else if (sequence.isPresent()) {
            leaves.put(path, "sequence of " + sequence.get().size());
            for (int i = 0; i < sequence.get().size(); i++) {
                add(file, path + "/" + i, sequence.get().get(i));
            }
        } else if (value instanceof PyObject object) {
            leaves.put(path, object.callable() + " " + object.arguments());
        } else {
            leaves.put(path, value.toString());
        }
    }

    private static String text(TensorEntry tensor) throws IOException {
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(tensor.size())).order(ByteOrder.LITTLE_ENDIAN);
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        bytes.flip();
        StringBuilder values = new StringBuilder();
        while (bytes.hasRemaining()) {
            if (tensor.dtype() == DType.FLOAT32) {
                int bits = bytes.getInt();
                values.append(bits == GARBAGE ? 0 : bits).append(' ');
            } else {
                short bits = bytes.getShort();
                values.append(bits == SHORT_GARBAGE ? 0 : bits).append(' ');
            }
        }
        return "%s %s %s".formatted(tensor.dtype(), tensor.shape(), values);
    }
}
