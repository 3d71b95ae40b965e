package io.ucp.formats.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.hub.WeightMap;
import io.ucp.io.ByteReader;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/// The optimizer's states beside a model, in files of ucp's own.
///
/// ```
/// optimizer.safetensors, or optimizer-00001-of-0000N.safetensors and optimizer.safetensors.index.json
///   <state>/<parameter>      a tensor of the parameter's shape: fp32/lm_head.weight
///   <scalar>/<parameter>     one number: step/lm_head.weight
///   __metadata__             format: pt, ucp_states: 1, scalars: the names of scalars, and
///                            facts (the first file's): JSON {iteration, groups {n: [..]}, frozen, buffers}
/// ```
///
/// @param states parameter -> state -> tensor
/// @param scalars parameter -> state -> value
record StateFiles(
        Map<String, Map<String, TensorEntry>> states,
        Map<String, Map<String, Scalar>> scalars,
        Facts facts) {
    static final String STEM = "optimizer";
    static final String VERSION_KEY = "ucp_states";
    static final String VERSION = "1";
    static final String SCALARS_KEY = "scalars";
    static final String FACTS_KEY = "facts";
    static final StateFiles NONE = new StateFiles(Map.of(), Map.of(), Facts.NONE);

    private static final Pattern NAME =
            Pattern.compile(STEM + "(?:-\\d{5,}-of-\\d{5,})?\\.safetensors(?:\\.index\\.json)?");
    private static final ObjectMapper MAPPER = new ObjectMapper();

    /// What is known of parameters and has no place in a model's folder.
    ///
    /// @param groups parameter -> number of its optimizer group
    record Facts(
            OptionalLong iteration,
            Map<String, Integer> groups,
            TreeSet<String> frozen,
            TreeSet<String> buffers) {
        static final Facts NONE =
                new Facts(OptionalLong.empty(), Map.of(), new TreeSet<>(), new TreeSet<>());

        String text() {
            ObjectNode root = MAPPER.createObjectNode();
            iteration.ifPresent(n -> root.put("iteration", n));
            TreeMap<Integer, List<String>> byGroup = new TreeMap<>();
            groups.forEach(
                    (name, group) ->
                            byGroup.computeIfAbsent(group, _ -> new ArrayList<>()).add(name));
            ObjectNode groupsNode = root.putObject("groups");
            byGroup.forEach(
                    (group, names) -> {
                        var list = groupsNode.putArray(Integer.toString(group));
                        names.stream().sorted().forEach(list::add);
                    });
            var frozenNode = root.putArray("frozen");
            frozen.forEach(frozenNode::add);
            var buffersNode = root.putArray("buffers");
            buffers.forEach(buffersNode::add);
            return root.toString();
        }

        static Facts of(OptionalLong iteration, List<ParameterFacts> parameters) {
            Map<String, Integer> groups = new TreeMap<>();
            TreeSet<String> frozen = new TreeSet<>();
            TreeSet<String> buffers = new TreeSet<>();
            for (ParameterFacts p : parameters) {
                if (p.optimizerGroup() >= 0) {
                    groups.put(p.name(), p.optimizerGroup());
                }
                if (p.buffer()) {
                    buffers.add(p.name());
                } else if (!p.trainable()) {
                    frozen.add(p.name());
                }
            }
            return new Facts(iteration, groups, frozen, buffers);
        }

        private static Facts read(Path file, String text) throws MalformedFileException {
            try {
                JsonNode root = MAPPER.readTree(text);
                Map<String, Integer> groups = new HashMap<>();
                root.path("groups")
                        .properties()
                        .forEach(
                                group ->
                                        group.getValue()
                                                .forEach(
                                                        name ->
                                                                groups.put(
                                                                        name.asText(),
                                                                        Integer.parseInt(
                                                                                group.getKey()))));
                JsonNode iteration = root.path("iteration");
                return new Facts(
                        iteration.isIntegralNumber()
                                ? OptionalLong.of(iteration.asLong())
                                : OptionalLong.empty(),
                        groups,
                        names(root.path("frozen")),
                        names(root.path("buffers")));
            } catch (JsonProcessingException | NumberFormatException e) {
                throw Header.malformed(
                        file, Header.PREFIX, "facts that are not as ucp writes them", "JSON");
            }
        }

        private static TreeSet<String> names(JsonNode list) {
            TreeSet<String> names = new TreeSet<>();
            list.forEach(each -> names.add(each.asText()));
            return names;
        }
    }

    /// Whether a file of this name may hold states rather than weights.
    static boolean isOne(String file) {
        return NAME.matcher(file).matches();
    }

    /// Those of a folder; [#NONE] where it has none.
    static StateFiles read(Path folder) throws IOException {
        String single = STEM + ModelFolder.SUFFIX;
        Path index = folder.resolve(single + ModelFolder.INDEX_SUFFIX);
        List<Header> headers;
        if (Files.isRegularFile(index)) {
            WeightMap map = WeightMap.read(index);
            ModelFolder files =
                    new ModelFolder(folder, List.of(), Optional.of(single), false).named(map);
            headers = files.headers();
            map.agree(Headers.holders(headers));
        } else if (Files.isRegularFile(folder.resolve(single))) {
            headers = Headers.read(folder, List.of(single));
        } else {
            return NONE;
        }
        boolean ours = headers.stream().allMatch(h -> h.metadata().containsKey(VERSION_KEY));
        return ours ? of(headers) : NONE;
    }

    /// The tensor that holds a state.
    ///
    /// @throws RefusedException where the state's name would be taken for another
    static String name(String state, String parameter) {
        if (state.isEmpty() || state.contains("/") || state.contains(",")) {
            throw new RefusedException(
                    parameter,
                    "a state '%s'".formatted(state),
                    "a name without '/' and ','",
                    "--to universal keeps what there is");
        }
        return state + "/" + parameter;
    }

    boolean isPresent() {
        return !states.isEmpty() || !scalars.isEmpty();
    }

    /// The names of the files, where they are.
    static List<String> names(Path folder) throws IOException {
        try (var entries = Files.list(folder)) {
            return entries.map(file -> file.getFileName().toString())
                    .filter(StateFiles::isOne)
                    .toList();
        }
    }

    private static StateFiles of(List<Header> headers) throws IOException {
        Map<String, Map<String, TensorEntry>> states = new LinkedHashMap<>();
        Map<String, Map<String, Scalar>> scalars = new LinkedHashMap<>();
        Facts facts = Facts.NONE;
        for (Header header : headers) {
            Path file = header.source().path();
            String version = header.metadata().getOrDefault(VERSION_KEY, "");
            if (!version.equals(VERSION)) {
                throw new MalformedFileException(
                        file,
                        Header.PREFIX,
                        "%s %s".formatted(VERSION_KEY, version),
                        VERSION,
                        "read it with a newer ucp");
            }
            String text = header.metadata().get(FACTS_KEY);
            if (text != null) {
                facts = Facts.read(file, text);
            }
            List<String> numbers =
                    List.of(header.metadata().getOrDefault(SCALARS_KEY, "").split(",", -1));
            try (ByteReader reader = header.source().open()) {
                for (Map.Entry<String, Header.Tensor> each : header.tensors().entrySet()) {
                    String name = each.getKey();
                    int slash = name.indexOf('/');
                    if (slash <= 0) {
                        throw Header.malformed(
                                file,
                                each.getValue().at(),
                                "the tensor '%s'".formatted(name),
                                "STATE/PARAMETER");
                    }
                    String state = name.substring(0, slash);
                    String parameter = name.substring(slash + 1);
                    if (numbers.contains(state)) {
                        scalars.computeIfAbsent(parameter, _ -> new LinkedHashMap<>())
                                .put(state, scalar(file, name, each.getValue(), reader));
                    } else {
                        states.computeIfAbsent(parameter, _ -> new LinkedHashMap<>())
                                .put(state, header.entry(name));
                    }
                }
            }
        }
        return new StateFiles(states, scalars, facts);
    }

    private static Scalar scalar(Path file, String name, Header.Tensor tensor, ByteReader reader)
            throws IOException {
        if (tensor.shape().rank() != 0) {
            throw Header.malformed(
                    file, tensor.at(), "'%s' of shape %s".formatted(name, tensor.shape()), "[]");
        }
        ByteBuffer bytes = ByteBuffer.allocate(tensor.dtype().width());
        reader.read(tensor.begin(), bytes);
        return new Scalar(tensor.dtype(), bytes.array());
    }

    /// Every parameter is one of the model's, and its states have its shape.
    void fit(Path folder, Map<String, ParameterFacts> model) throws IncompleteCheckpointException {
        TreeSet<String> names = new TreeSet<>(states.keySet());
        names.addAll(scalars.keySet());
        for (String name : names) {
            ParameterFacts facts = model.get(name);
            if (facts == null) {
                throw mixed(folder, "states of '%s'".formatted(name), "a weight of that name");
            }
            for (Map.Entry<String, TensorEntry> state :
                    states.getOrDefault(name, Map.of()).entrySet()) {
                if (!state.getValue().shape().equals(facts.shape())) {
                    throw mixed(
                            folder,
                            "%s of '%s' has shape %s"
                                    .formatted(state.getKey(), name, state.getValue().shape()),
                            "%s, the weight's".formatted(facts.shape()));
                }
            }
        }
    }

    private static IncompleteCheckpointException mixed(Path folder, String found, String expected) {
        return new IncompleteCheckpointException(
                folder.toString(),
                found,
                expected,
                "the files are of two models; copy them again from where they were written");
    }
}
