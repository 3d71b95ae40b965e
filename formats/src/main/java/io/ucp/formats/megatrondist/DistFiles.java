package io.ucp.formats.megatrondist;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.mcore.Arguments;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.ByteSource;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What a folder holds: tensors and objects by their keys, and what every rank has in common.
///
/// @param tensors in the order of `.metadata`
/// @param objects other than the common state; each is a list of one, which is taken out of it
/// @param common `args`, schedulers, the optimizer's settings, counters
record DistFiles(
        Path folder,
        DistcpMetadata metadata,
        ItemReader items,
        Map<String, OfTensor> tensors,
        Map<String, Held> objects,
        PyDict common,
        Arguments arguments) {
    static final String CONFIG = "metadata.json";
    static final String COMMON_FILE = "common.pt";
    static final String COMMON_KEY = "common_state/shard_0_1";
    static final String BACKEND = "torch_dist";
    static final int VERSION = 1;

    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final long LARGEST_CONFIG = 1 << 20;

    /// An object with the bytes of its tensors.
    record Held(PickleValue tree, Map<String, Storage> storages) {}

    static DistFiles read(Path folder) throws IOException {
        requireBackend(folder.resolve(CONFIG));
        DistcpMetadata metadata = DistcpMetadata.read(folder);
        ItemReader items = ItemReader.open(folder, metadata);
        Map<String, OfTensor> tensors = new LinkedHashMap<>();
        Map<String, Held> objects = new LinkedHashMap<>();
        Map<String, OfObject> places = new LinkedHashMap<>();
        metadata.entries()
                .forEach(
                        (key, entry) -> {
                            switch (entry) {
                                case OfTensor tensor -> tensors.put(key, tensor);
                                case OfObject object -> places.put(key, object);
                            }
                        });
        for (Map.Entry<String, OfObject> each : places.entrySet()) {
            TorchFile file = items.object(each.getValue().place());
            PlainFile source = items.file(each.getValue().place());
            objects.put(each.getKey(), only(file, each.getKey(), source));
        }
        PyDict common = common(folder, Optional.ofNullable(objects.remove(COMMON_KEY)));
        PickleValue args =
                common.find("args")
                        .filter(v -> v.asDict().isPresent())
                        .orElseThrow(
                                () ->
                                        new IncompleteCheckpointException(
                                                folder.toString(),
                                                "no `args` in the common state",
                                                "the arguments of the job",
                                                "a state that another program saved with"
                                                    + " Megatron-Core is not one of Megatron-LM"));
        return new DistFiles(
                folder, metadata, items, tensors, objects, common, new Arguments(args));
    }

    private static void requireBackend(Path file) throws IOException {
        if (Files.size(file) > LARGEST_CONFIG) {
            throw malformed(file, "%d bytes".formatted(Files.size(file)), "a few");
        }
        JsonNode config;
        try {
            config = MAPPER.readTree(WholeFile.read(file));
        } catch (JsonProcessingException e) {
            throw malformed(file, "no JSON: " + e.getOriginalMessage(), "a JSON object");
        }
        JsonNode backend = config == null ? null : config.get("sharded_backend");
        JsonNode version = config == null ? null : config.get("sharded_backend_version");
        if (backend == null || !backend.isTextual()) {
            throw malformed(file, "no `sharded_backend`", "\"torch_dist\"");
        }
        boolean known =
                backend.textValue().equals(BACKEND)
                        && version != null
                        && version.isIntegralNumber()
                        && version.asInt() == VERSION;
        if (!known) {
            throw new RefusedException(
                    file.toString(),
                    "sharded by %s, version %s".formatted(backend, version),
                    "\"torch_dist\", version 1",
                    "load it with Megatron-LM and save it with --ckpt-format torch_dist");
        }
    }

    private static MalformedFileException malformed(Path file, String found, String expected) {
        return new MalformedFileException(
                file, -1, found, expected, "copy the file again from where it was written");
    }

    /// An object is pickled in a list of its own.
    private static Held only(TorchFile file, String key, ByteSource source)
            throws MalformedFileException {
        List<PickleValue> list = file.tree().asSequence().orElse(List.of());
        if (list.size() != 1) {
            throw new MalformedFileException(
                    source.path(),
                    -1,
                    "the item of '%s' holds %s".formatted(key, file.tree()),
                    "a list of one object",
                    "copy the checkpoint again as a whole");
        }
        return new Held(list.getFirst(), storages(file, source));
    }

    private static Map<String, Storage> storages(TorchFile file, ByteSource source) {
        Map<String, Storage> held = new LinkedHashMap<>();
        String prefix = file.root() + "/data/";
        for (TorchRecord record : file.records()) {
            if (record.name().startsWith(prefix)) {
                Content raw = new Content.Raw(0, source, record.offset(), record.size());
                held.put(
                        record.name().substring(prefix.length()),
                        new Storage(record.size(), record.size() == 0 ? List.of() : List.of(raw)));
            }
        }
        return held;
    }

    /// A file of its own until July 2026, an object since.
    private static PyDict common(Path folder, Optional<Held> object) throws IOException {
        Path file = folder.resolve(COMMON_FILE);
        boolean isFile = Files.isRegularFile(file);
        if (isFile == object.isPresent()) {
            throw new IncompleteCheckpointException(
                    folder.toString(),
                    isFile
                            ? "both %s and '%s'".formatted(COMMON_FILE, COMMON_KEY)
                            : "neither %s nor '%s'".formatted(COMMON_FILE, COMMON_KEY),
                    "one of them: the state that all ranks have in common",
                    "copy the files of one save again");
        }
        Held held;
        if (isFile) {
            TorchFile torch = TorchFile.open(file);
            held = new Held(torch.tree(), storages(torch, torch.source()));
        } else {
            held = object.orElseThrow();
        }
        if (!held.storages().isEmpty()) {
            throw new RefusedException(
                    folder.toString(),
                    "tensors in the common state",
                    "numbers, texts and settings",
                    "report what wrote it: no release that is known does");
        }
        return held.tree()
                .asDict()
                .orElseThrow(
                        () ->
                                new IncompleteCheckpointException(
                                        folder.toString(),
                                        "a common state that is no dict",
                                        "`args` and the rest of what all ranks have",
                                        ""));
    }
}
