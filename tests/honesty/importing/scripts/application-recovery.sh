#!/bin/bash
# application-recovery.sh

# Step 1: Check application health
kubectl get pods -l app=healing-guard
kubectl describe deployment/healing-guard

# Step 2: Rollback to last known good version
LAST_GOOD_VERSION=$(kubectl rollout history deployment/healing-guard | tail -2 | head -1 | awk '{print $1}')
kubectl rollout undo deployment/healing-guard --to-revision=$LAST_GOOD_VERSION

# Step 3: Scale up instances
kubectl scale deployment/healing-guard --replicas=5

# Step 4: Verify health checks
for i in {1..30}; do
    if kubectl get pods -l app=healing-guard | grep -q "Running"; then
        echo "Application pods are running"
        break
    fi
    echo "Waiting for pods to start... ($i/30)"
    sleep 10
done

# Step 5: Run smoke tests
kubectl exec -it deployment/healing-guard -- python -m pytest tests/smoke/ -v
