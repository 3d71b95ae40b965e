package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Elementwise;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.io.ByteSource;
import io.ucp.tensor.Piece;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Turns a torch file into a carried one: the tensors that are states of parameters by name, the
/// bytes of all others as they lie there.
final class Carried {
    static final String MODEL_STATES = "model_states";
    static final String OPTIMIZER = "optimizer";
    static final String OPTIMIZER_STATE = "optimizer_state";
    static final String LAYER = "layer";
    static final String SIDE = "side";

    private Carried() {}

    /// A tensor of the file that is the whole of a parameter's state.
    record Named(TorchTensor tensor, String parameter, String state) {
        private long begin() {
            return tensor.storageOffset() * tensor.dtype().width();
        }

        private Content content() {
            return new Content.Elements(
                    begin(),
                    new Elementwise(
                            parameter,
                            state,
                            tensor.dtype(),
                            tensor.shape().count(),
                            List.of(Piece.whole(tensor.shape()))));
        }
    }

    /// @param path relative to the checkpoint's folder
    static CarriedFile of(
            TorchFile file, String path, String role, Coordinate at, List<Named> named) {
        Map<String, List<Named>> byStorage = new HashMap<>();
        for (Named each : named) {
            if (each.tensor().isContiguous() && each.tensor().size() > 0) {
                byStorage
                        .computeIfAbsent(each.tensor().storageKey(), _ -> new ArrayList<>())
                        .add(each);
            }
        }
        Map<String, Storage> storages = new LinkedHashMap<>();
        String prefix = file.root() + "/data/";
        for (TorchRecord record : file.records()) {
            if (record.name().startsWith(prefix)) {
                String key = record.name().substring(prefix.length());
                storages.put(
                        key,
                        storage(file.source(), record, byStorage.getOrDefault(key, List.of())));
            }
        }
        return new CarriedFile(
                path,
                role,
                at,
                Optional.of(file.source()),
                Optional.of(file.tree()),
                storages);
    }

    private static Storage storage(ByteSource source, TorchRecord record, List<Named> named) {
        List<Named> ordered = new ArrayList<>(named);
        ordered.sort(Comparator.comparingLong(Named::begin));
        List<Content> content = new ArrayList<>();
        long at = 0;
        for (Named each : ordered) {
            if (each.begin() < at) {
                continue; // it overlaps one that is named already
            }
            raw(source, record, at, each.begin(), content);
            content.add(each.content());
            at = each.begin() + each.tensor().size();
        }
        raw(source, record, at, record.size(), content);
        return new Storage(record.size(), content);
    }

    private static void raw(
            ByteSource source, TorchRecord record, long from, long to, List<Content> into) {
        if (from < to) {
            into.add(new Content.Raw(from, source, record.offset() + from, to - from));
        }
    }
}
