package io.ucp.formats.universal;

import io.ucp.formats.ParameterFacts;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// One Arrow file and the tensors in it: all of one state and one dtype.
///
/// @param path relative to the checkpoint's folder
/// @param rows of a full record batch; a tensor's last one is shorter
record StateFile(
        String path,
        String state,
        DType dtype,
        Compression compression,
        long rows,
        List<Tensor> tensors) {
    StateFile {
        tensors = List.copyOf(tensors);
    }

    /// A tensor and the record batches that hold it, one after the other.
    record Tensor(ParameterFacts facts, int firstBatch, int batches) {}

    int batches() {
        return tensors.isEmpty() ? 0 : tensors.getLast().firstBatch() + tensors.getLast().batches();
    }

    /// The index that the Arrow schema carries, so that the file alone is readable.
    String index() {
        return Json.text(
                out -> {
                    out.writeStartObject();
                    out.writeNumberField("version", Manifest.VERSION);
                    out.writeStringField("state", state);
                    out.writeStringField("dtype", dtype.torchName());
                    out.writeArrayFieldStart("tensors");
                    for (Tensor tensor : tensors) {
                        out.writeStartObject();
                        out.writeStringField("name", tensor.facts().name());
                        Json.longs(out, "shape", tensor.facts().shape().dims());
                        out.writeNumberField("batch", tensor.firstBatch());
                        out.writeNumberField("batches", tensor.batches());
                        out.writeEndObject();
                    }
                    out.writeEndArray();
                    out.writeEndObject();
                });
    }

    /// Packs every state of every parameter, in their order.
    static List<StateFile> pack(
            List<ParameterFacts> parameters, Limits limits, Compression wanted) {
        record Kind(String state, DType dtype) {}
        Map<Kind, List<ParameterFacts>> kinds = new LinkedHashMap<>();
        for (ParameterFacts facts : parameters) {
            facts.states()
                    .forEach(
                            (state, dtype) ->
                                    kinds.computeIfAbsent(
                                                    new Kind(state, dtype), _ -> new ArrayList<>())
                                            .add(facts));
        }
        Map<String, Integer> numbers = new LinkedHashMap<>();
        List<StateFile> files = new ArrayList<>();
        kinds.forEach(
                (kind, members) -> {
                    Compression compression = wanted.on(kind.dtype());
                    long rows = limits.rows(kind.dtype().width(), compression.compresses());
                    for (List<Tensor> tensors : split(members, kind.dtype(), rows, limits)) {
                        String stem = PathNames.part(kind.state());
                        int number = numbers.merge(stem, 1, Integer::sum);
                        String path =
                                String.format(Locale.ROOT, "states/%s-%05d.arrow", stem, number);
                        files.add(
                                new StateFile(
                                        path,
                                        kind.state(),
                                        kind.dtype(),
                                        compression,
                                        rows,
                                        tensors));
                    }
                });
        return files;
    }

    private static List<List<Tensor>> split(
            List<ParameterFacts> members, DType dtype, long rows, Limits limits) {
        List<List<Tensor>> files = new ArrayList<>();
        List<Tensor> open = new ArrayList<>();
        long held = 0;
        int batch = 0;
        for (ParameterFacts facts : members) {
            long size = Math.multiplyExact(facts.shape().count(), dtype.width());
            boolean full =
                    open.size() == limits.tensors() || Math.addExact(held, size) > limits.file();
            if (full && !open.isEmpty()) {
                files.add(open);
                open = new ArrayList<>();
                held = 0;
                batch = 0;
            }
            // An empty tensor has one batch too: of no rows.
            int batches = Math.toIntExact(Math.max(1, Math.ceilDiv(facts.shape().count(), rows)));
            open.add(new Tensor(facts, batch, batches));
            held = Math.addExact(held, size);
            batch = Math.addExact(batch, batches);
        }
        files.add(open);
        return files;
    }
}
