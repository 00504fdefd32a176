#!/bin/bash
# post-recovery-validation.sh

echo "🔍 Starting post-recovery validation..."

# 1. Application health
echo "Checking application health..."
curl -f http://api.healing-guard.com/health || echo "❌ Health check failed"

# 2. Database connectivity
echo "Testing database connectivity..."
kubectl exec -it deployment/healing-guard -- python -c "
import asyncpg
import asyncio
async def test():
    conn = await asyncpg.connect('$DATABASE_URL')
    result = await conn.fetchval('SELECT COUNT(*) FROM pipelines')
    print(f'✅ Database accessible, {result} pipelines found')
    await conn.close()
asyncio.run(test())
"

# 3. Critical functionality
echo "Testing critical endpoints..."
curl -f -X POST http://api.healing-guard.com/api/v1/pipelines/test/analyze || echo "❌ Analysis endpoint failed"

# 4. Monitoring systems
echo "Checking monitoring..."
curl -f http://prometheus:9090/-/healthy || echo "❌ Prometheus unhealthy"
curl -f http://grafana:3000/api/health || echo "❌ Grafana unhealthy"

# 5. Performance validation
echo "Running performance validation..."
kubectl exec -it deployment/healing-guard -- python -m pytest tests/performance/ --duration=300

echo "✅ Post-recovery validation complete"
