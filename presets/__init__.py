"""What a project starts from: params.yaml files, the graph (`graph.yaml` is dvc.yaml) and recipes.yaml."""
