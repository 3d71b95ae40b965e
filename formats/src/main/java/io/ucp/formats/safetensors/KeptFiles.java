package io.ucp.formats.safetensors;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Elementwise;
import io.ucp.formats.TargetFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.ModelWeights;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.safetensors.Header.Tensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.PlainFile;
import io.ucp.io.PlainName;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The source's own files, remembered by their headers: where the weights are still what those say,
/// they are written again to the byte.
final class KeptFiles {
    private static final String PATH = "safetensors_headers";

    private KeptFiles() {}

    /// The headers as one object, `{FILE: JSON}`, and the index by its bytes.
    static List<CarriedFile> carried(ModelFolder folder, List<Header> headers) throws IOException {
        Map<String, PickleValue> texts = new LinkedHashMap<>();
        for (Header header : headers) {
            texts.put(header.source().path().getFileName().toString(), PyText.of(header.text()));
        }
        List<CarriedFile> carried = new ArrayList<>();
        carried.add(
                new CarriedFile(
                        PATH,
                        CarriedFile.FORM,
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(PyDict.of(texts)),
                        Map.of()));
        if (folder.index().isPresent()) {
            String index = folder.index().get();
            carried.add(
                    new CarriedFile(
                            index,
                            CarriedFile.FORM,
                            Coordinate.NONE,
                            Optional.of(PlainFile.of(folder.folder().resolve(index))),
                            Optional.empty(),
                            Map.of()));
        }
        return carried;
    }

    private static boolean isForm(CarriedFile file) {
        return file.role().equals(CarriedFile.FORM);
    }

    /// The files with these weights; empty where the source had no such files, or others.
    static Optional<List<TargetFile>> of(WriteRequest request, ModelWeights weights) {
        Optional<PyDict> texts =
                request.carried().stream()
                        .filter(KeptFiles::isForm)
                        .filter(file -> file.path().equals(PATH))
                        .flatMap(file -> file.root().stream())
                        .flatMap(root -> root.asDict().stream())
                        .findFirst();
        if (texts.isEmpty()) {
            return Optional.empty();
        }
        Map<String, Elementwise> left = new HashMap<>(weights.byParameter());
        Map<String, Shape> shapes = new HashMap<>();
        request.parameters().forEach(p -> shapes.put(p.name(), p.realShape()));
        List<TargetFile> files = new ArrayList<>();
        for (PyDict.Entry each : texts.get().entries()) {
            Optional<String> file = each.key().asText();
            Optional<String> text = each.value().asText();
            Optional<TargetFile> made =
                    file.filter(PlainName::is).isEmpty() || text.isEmpty()
                            ? Optional.empty()
                            : file(file.get(), text.get(), shapes, left);
            if (made.isEmpty()) {
                return Optional.empty();
            }
            files.add(made.get());
        }
        if (!left.isEmpty()) {
            return Optional.empty();
        }
        request.carried().stream()
                .filter(KeptFiles::isForm)
                .filter(file -> file.path().endsWith(ModelFolder.SUFFIX + ModelFolder.INDEX_SUFFIX))
                .forEach(file -> files.add(SideFiles.written(file, file.path())));
        return Optional.of(files);
    }

    /// @param left weights that no file has taken yet
    private static Optional<TargetFile> file(
            String name, String text, Map<String, Shape> shapes, Map<String, Elementwise> left) {
        byte[] json = text.getBytes(StandardCharsets.UTF_8);
        Map<String, Tensor> tensors;
        try {
            HeaderParser parser = new HeaderParser(Path.of(name), json);
            parser.parse();
            tensors = parser.tensors();
        } catch (IOException _) {
            return Optional.empty();
        }
        FileLayout layout = new FileLayout(name, json);
        List<Map.Entry<String, Tensor>> ordered = new ArrayList<>(tensors.entrySet());
        ordered.sort(Map.Entry.comparingByValue(Header.BY_PLACE));
        for (Map.Entry<String, Tensor> each : ordered) {
            Tensor tensor = each.getValue();
            Elementwise weight = left.remove(each.getKey());
            if (weight == null
                    || !weight.state().equals(ModelWeights.WEIGHT)
                    || weight.dtype() != tensor.dtype()
                    || tensor.begin() != layout.size()
                    || !Optional.of(tensor.shape())
                            .equals(Optional.ofNullable(shapes.get(each.getKey())))) {
                return Optional.empty();
            }
            layout.add(weight);
        }
        return Optional.of(layout.file());
    }
}
