package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.TorchBuilder;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// `layer_LL-model_TT-model_states.pt` of a pipeline: the state dict of one layer, for each
/// tensor-parallel rank, whichever stage builds it. Layers are numbered over the whole pipeline, so
/// that stages move and the files stay.
///
/// Source: DeepSpeed `runtime/pipe/module.py` (`ckpt_layer_path`, `save_state_dict`).
record LayerFiles(Ranks target, SourceFiles source, RankHoldings holdings) {
    private static final String TIED = "tied_modules.";

    List<TargetFile> files(String folder) {
        List<TargetFile> files = new ArrayList<>();
        source.layers()
                .forEach(
                        (layer, ranks) -> {
                            for (int tp = 0; tp < target.tp(); tp++) {
                                CarriedFile model =
                                        ranks.getOrDefault(
                                                tp % source.ranks().tp(),
                                                ranks.values().iterator().next());
                                files.add(file(folder, layer, tp, model));
                            }
                        });
        return files;
    }

    private TargetFile file(String folder, int layer, int tp, CarriedFile model) {
        String path =
                folder
                        + "/"
                        + (source.layersNameRanks() || target.tp() > 1
                                ? LayerName.of(layer, tp)
                                : LayerName.of(layer));
        TorchBuilder torch = new TorchBuilder(model.storages());
        ModuleTree tree =
                new ModuleTree(
                        path,
                        torch,
                        key -> held(path, layer, tp, key),
                        source.ranks().tp() == target.tp(),
                        false,
                        holdings::dtype);
        return torch.file(path, tree.of(model.root().orElseThrow()));
    }

    /// The first stage that has it, as the layer's own parameter or as that of a module that layers
    /// share.
    private Optional<Held> held(String path, int layer, int tp, String key) {
        for (int pp = 0; pp < target.pp(); pp++) {
            Optional<Held> own = holdings.named(pp * target.tp() + tp, layer + "." + key);
            if (own.isPresent()) {
                return own;
            }
        }
        for (int pp = 0; pp < target.pp(); pp++) {
            List<Held> tied =
                    holdings.on(pp * target.tp() + tp).stream()
                            .filter(h -> isTied(h.name(), key))
                            .toList();
            if (tied.size() > 1) {
                throw new RefusedException(
                        path,
                        "'%s' may be %s or %s"
                                .formatted(key, tied.get(0).name(), tied.get(1).name()),
                        "one tied module with that name",
                        "--to deepspeed-universal, which needs no layer files");
            }
            if (!tied.isEmpty()) {
                return Optional.of(tied.getFirst());
            }
        }
        return Optional.empty();
    }

    private static boolean isTied(String name, String key) {
        int module = name.indexOf('.', TIED.length());
        return name.startsWith(TIED) && module > 0 && name.substring(module + 1).equals(key);
    }
}
