#!/bin/bash
# loadbalancer-recovery.sh

# Step 1: Check load balancer status
aws elbv2 describe-load-balancers --names healing-guard-lb

# Step 2: Create emergency load balancer
aws elbv2 create-load-balancer \
    --name healing-guard-emergency-lb \
    --subnets subnet-12345678 subnet-87654321 \
    --security-groups sg-12345678 \
    --scheme internet-facing \
    --type application

# Step 3: Configure target group
TARGET_GROUP_ARN=$(aws elbv2 create-target-group \
    --name healing-guard-emergency-tg \
    --protocol HTTP \
    --port 8000 \
    --vpc-id vpc-12345678 \
    --health-check-path /health \
    --query 'TargetGroups[0].TargetGroupArn' \
    --output text)

# Step 4: Register targets
kubectl get pods -l app=healing-guard -o wide | awk 'NR>1 {print $6}' | while read ip; do
    aws elbv2 register-targets --target-group-arn $TARGET_GROUP_ARN --targets Id=$ip,Port=8000
done

# Step 5: Update DNS
aws route53 change-resource-record-sets --hosted-zone-id Z123456789 --change-batch '{
    "Changes": [{
        "Action": "UPSERT",
        "ResourceRecordSet": {
            "Name": "api.healing-guard.com",
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": "healing-guard-emergency-lb-123456789.us-east-1.elb.amazonaws.com"}]
        }
    }]
}'
