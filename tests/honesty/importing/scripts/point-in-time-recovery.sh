#!/bin/bash
# point-in-time-recovery.sh

TARGET_TIME="2024-01-29 10:30:00"
BACKUP_ID="backup-20240129-103000"

# Step 1: Stop application
kubectl scale deployment/healing-guard --replicas=0

# Step 2: Restore from backup
aws rds restore-db-instance-to-point-in-time \
    --source-db-instance-identifier healing-guard-prod \
    --target-db-instance-identifier healing-guard-recovery \
    --restore-time "$TARGET_TIME" \
    --db-subnet-group-name healing-guard-subnet-group \
    --publicly-accessible

# Step 3: Wait for restoration
while [[ $(aws rds describe-db-instances --db-instance-identifier healing-guard-recovery --query 'DBInstances[0].DBInstanceStatus' --output text) != "available" ]]; do
    echo "Waiting for database restoration..."
    sleep 30
done

# Step 4: Update connection and restart
kubectl set env deployment/healing-guard DATABASE_URL="postgresql://postgres:password@healing-guard-recovery.region.rds.amazonaws.com:5432/healing_guard"
kubectl scale deployment/healing-guard --replicas=3
