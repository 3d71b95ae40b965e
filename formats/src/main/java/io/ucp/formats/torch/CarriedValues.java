package io.ucp.formats.torch;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.ByteReader;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// Values of two carried files, held against each other. Tensors are equal by their dtype, shape
/// and bytes, whatever storage of its file each is in; all else as [PickleGraph#same] says.
public final class CarriedValues {
    private static final int WINDOW = 1 << 16;

    private CarriedValues() {}

    /// Whether `x` of the file `a` is what `y` of the file `b` is.
    ///
    /// @throws UncheckedIOException where a tensor's bytes cannot be read
    public static boolean same(CarriedFile a, PickleValue x, CarriedFile b, PickleValue y) {
        Optional<TorchTensor> left = TensorPickles.read(x);
        Optional<TorchTensor> right = TensorPickles.read(y);
        if (left.isPresent() && right.isPresent()) {
            return sameTensor(a, left.get(), b, right.get());
        }
        Optional<List<PickleValue>> xs = x.asSequence();
        Optional<List<PickleValue>> ys = y.asSequence();
        if (xs.isEmpty() || ys.isEmpty() || x.getClass() != y.getClass()) {
            return PickleGraph.same(x, y);
        }
        boolean same = xs.get().size() == ys.get().size();
        for (int i = 0; same && i < xs.get().size(); i++) {
            same = same(a, xs.get().get(i), b, ys.get().get(i));
        }
        return same;
    }

    private static boolean sameTensor(CarriedFile a, TorchTensor x, CarriedFile b, TorchTensor y) {
        Storage left = a.storages().get(x.storageKey());
        Storage right = b.storages().get(y.storageKey());
        if (left == null
                || right == null
                || x.dtype() != y.dtype()
                || !x.shape().equals(y.shape())
                || !isRead(x, left)
                || !isRead(y, right)) {
            return false;
        }
        int width = x.dtype().width();
        byte[] xs = new byte[WINDOW];
        byte[] ys = new byte[WINDOW];
        try {
            for (long at = 0; at < x.size(); at += WINDOW) {
                int size = (int) Math.min(WINDOW, x.size() - at);
                read(left, x.storageOffset() * width + at, xs, size);
                read(right, y.storageOffset() * width + at, ys, size);
                if (!Arrays.equals(xs, 0, size, ys, 0, size)) {
                    return false;
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return true;
    }

    /// Bytes of a file, end to end.
    private static boolean isRead(TorchTensor tensor, Storage storage) {
        return tensor.isContiguous()
                && storage.content().stream().allMatch(Content.Raw.class::isInstance);
    }

    /// @param from bytes from the start of the storage
    private static void read(Storage storage, long from, byte[] into, int size) throws IOException {
        Arrays.fill(into, 0, size, (byte) 0);
        for (Content content : storage.content()) {
            if (!(content instanceof Content.Raw raw)) {
                continue;
            }
            long first = Math.max(from, raw.offset());
            long end = Math.min(from + size, raw.offset() + raw.size());
            if (first >= end) {
                continue;
            }
            try (ByteReader reader = raw.source().open()) {
                reader.read(
                        raw.sourceOffset() + first - raw.offset(),
                        ByteBuffer.wrap(into, (int) (first - from), (int) (end - first)));
            }
        }
    }
}
